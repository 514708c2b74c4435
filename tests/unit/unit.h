// SPDX-License-Identifier: MIT
#pragma once

/* What cmocka.h needs to be included after, and what every unit test uses. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
