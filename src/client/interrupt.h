// SPDX-License-Identifier: MIT
#pragma once

/*
 * Ctrl-C for commands that have something to say when they end. A signal belongs to the process,
 * and so does this: who waits gives up with -EINTR once it has come.
 */

#include <stdatomic.h>
#include <stdbool.h>

extern atomic_bool interrupt_flag; /* set by the signal */

/*
 * Has SIGNAL_NUMBER set the flag, once: a second one has its default effect. System calls are not
 * restarted.
 */
void interrupt_catch(int signal_number);

static inline bool interrupt_came(void)
{
    return atomic_load_explicit(&interrupt_flag, memory_order_relaxed);
}
