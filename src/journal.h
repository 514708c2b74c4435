// SPDX-License-Identifier: MIT
#pragma once

/*
 * What was decided on clients, in the journal: a sentence for people, and fields to search by
 * (journalctl UDS_VERDICT=deny), with a message ID that the installed catalog explains
 * (journalctl -x). That does not depend on the log level. Where standard error is not the
 * journal's, the sentence is a log line.
 */

#include "audit.h"

void journal_write(const struct audit_record *record);
