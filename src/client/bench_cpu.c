// SPDX-License-Identifier: MIT
#include "bench_cpu.h"

#include <sched.h>

static bool chosen;
static cpu_set_t client;
static cpu_set_t others;

bool bench_cpu_choose(uint64_t cpu)
{
    if (sched_getaffinity(0, sizeof(others), &others) < 0 || !CPU_ISSET(cpu, &others)) {
        return false;
    }
    CPU_ZERO(&client);
    CPU_SET(cpu, &client);
    if (CPU_COUNT(&others) > 1) {
        CPU_CLR(cpu, &others);
    }
    chosen = true;
    return true;
}

int bench_cpu_start(pthread_t *thread, bool is_client, void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    int r = pthread_attr_init(&attributes);

    if (r == 0 && chosen) {
        const cpu_set_t *set = is_client ? &client : &others;
        r = pthread_attr_setaffinity_np(&attributes, sizeof(*set), set);
    }
    if (r == 0) {
        r = pthread_create(thread, &attributes, run, argument);
    }
    (void)pthread_attr_destroy(&attributes);
    return -r;
}
