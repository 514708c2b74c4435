// SPDX-License-Identifier: MIT
#pragma once

/*
 * The way of decisions into the journal, behind the workers' rings: the bound on how many are
 * written of each kind (throttle.h) holds for all workers together. For the control plane.
 */

#include <stdint.h>

#include "audit.h"

struct decisions;

/* NULL if there is no memory; decisions_free() takes NULL. */
struct decisions *decisions_new(void);
void decisions_free(struct decisions *decisions);

/* Writes RECORD to the journal, or counts it. NOW is CLOCK_MONOTONIC in microseconds. */
void decisions_take(struct decisions *decisions, uint64_t now, const struct audit_record *record);

/* Writes how many were left out where the time is over; FINAL: everywhere. */
void decisions_flush(struct decisions *decisions, uint64_t now, bool final);

/* When decisions_flush() has to be called, CLOCK_MONOTONIC; UINT64_MAX if nothing was left out. */
uint64_t decisions_deadline(const struct decisions *decisions);
