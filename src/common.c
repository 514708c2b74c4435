// SPDX-License-Identifier: MIT
#include "common.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

struct common *common_new(size_t n, struct quota_limits limits, uint64_t connections_fit)
{
    size_t size = sizeof(struct common) + n * sizeof(struct member);
    struct common *common = aligned_alloc(CACHE_LINE, size);

    if (!common) {
        return NULL;
    }
    memset(common, 0, size);
    common->connections_max = limits.connections;
    common->connections_fit = connections_fit;
    common->n = n;
    for (size_t i = 0; i < n; i++) {
        common->members[i].wake_fd = -1;
    }
    common->quota = quota_new(limits);
    if (!common->quota) {
        free(common);
        return NULL;
    }
    return common;
}

void common_free(struct common *common)
{
    if (!common) {
        return;
    }
    off_limits_deinit(&common->off_limits);
    quota_free(common->quota);
    free(common);
}

void event_raise(int fd)
{
    const uint64_t one = 1;

    /* An eventfd takes it, or is readable already; but for who is interrupted it is neither. */
    while (write(fd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

/* In the place of the first parcel. */
static struct parcel closed;

bool inbox_put(inbox *box, struct parcel *parcel)
{
    struct parcel *first = atomic_load_explicit(box, memory_order_relaxed);

    do {
        if (first == &closed) {
            return false;
        }
        parcel->next = first;
    } while (!atomic_compare_exchange_weak(box, &first, parcel));
    return true;
}

struct parcel *inbox_take(inbox *box)
{
    struct parcel *first = atomic_load_explicit(box, memory_order_relaxed);

    /* Only who takes closes. */
    return first && first != &closed ? atomic_exchange(box, NULL) : NULL;
}

struct parcel *inbox_close(inbox *box)
{
    struct parcel *first = atomic_exchange(box, &closed);

    return first == &closed ? NULL : first;
}

void inbox_open(inbox *box)
{
    struct parcel *before = &closed;

    (void)atomic_compare_exchange_strong(box, &before, NULL);
}

bool inbox_is_open(inbox *box)
{
    return atomic_load_explicit(box, memory_order_relaxed) != &closed;
}

bool common_starve(struct common *common, size_t index)
{
    if (atomic_exchange(&common->members[index].starves, true)) {
        return false;
    }
    atomic_fetch_add(&common->starving, 1);
    return true;
}

void common_sate(struct common *common, size_t index)
{
    if (atomic_load_explicit(&common->members[index].starves, memory_order_relaxed) &&
        atomic_exchange(&common->members[index].starves, false)) {
        atomic_fetch_sub(&common->starving, 1);
    }
}

void common_feed(struct common *common, size_t index)
{
    if (common_starves(common, index)) {
        return;
    }
    for (size_t i = 1; i < common->n; i++) {
        struct member *member = &common->members[(index + i) % common->n];
        if (atomic_load(&member->starves) && atomic_exchange(&member->starves, false)) {
            atomic_fetch_sub(&common->starving, 1);
            event_raise(member->wake_fd);
            return;
        }
    }
}
