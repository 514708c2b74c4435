// SPDX-License-Identifier: MIT
#pragma once

/*
 * Where the threads of a benchmark run. Left alone, the kernel now has a client and its service
 * take turns on one processor, now wake each other across two, which takes ten times as long: a
 * figure is one of the two, as it happens. The choice is the process's, as affinity is.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { BENCH_CPU_MAX = 1023 };

/* From now on the client's threads run on processor CPU alone, and those of the bare loop on the
 * others, if there are any. Returns whether this process may run there. */
bool bench_cpu_choose(uint64_t cpu);

/* As pthread_create(3), a thread of the client or of the bare loop. Returns 0 or a negative errno.
 */
int bench_cpu_start(pthread_t *thread, bool is_client, void *(*run)(void *), void *argument);
