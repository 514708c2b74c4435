// SPDX-License-Identifier: MIT
#include "outbox.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

struct quota *outbox_quota_new(void)
{
    const struct quota_limits limits = {
        .bytes_per_user = 2 * (uint64_t)DEBT_BYTES,
        .addresses_per_user = 2 * DEBT_SENDERS,
    };

    return quota_new(quota_limits_complete(limits, 100));
}

struct sender outbox_sender(unsigned number)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sender sender = {.uid = 1000};
    int length = snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "%u", number);

    memcpy(&sender.address, &un, sizeof(un));
    sender.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    return sender;
}

int outbox_add(struct debts *debts, unsigned number, const char *data, size_t length, uint64_t now)
{
    struct sender sender = outbox_sender(number);

    return debts_add(debts, &sender, data, length, now);
}

static int put(void *context, const struct sender *sender, const void *data, size_t length)
{
    struct outbox *outbox = context;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&sender->address;
    size_t used = strlen(outbox->sent);

    outbox->attempts++;
    if (outbox->room == 0) {
        return outbox->is_busy ? -EBUSY : -EAGAIN;
    }
    outbox->room--;
    if (un->sun_path[1] != outbox->reader) {
        outbox->queued += outbox->weight;
    }
    snprintf(outbox->sent + used, sizeof(outbox->sent) - used, "%.*s:%.*s ",
             (int)(sender->size - offsetof(struct sockaddr_un, sun_path) - 1), un->sun_path + 1,
             (int)length, (const char *)data);
    return 0;
}

static size_t queued(void *context)
{
    const struct outbox *outbox = context;

    return outbox->queued * OUTBOX_UNIT;
}

const struct debt_channel *outbox_channel(struct outbox *outbox)
{
    static struct debt_channel channel;

    channel = (struct debt_channel){
        .send = put, .queued = queued, .context = outbox, .capacity = (size_t)1000 * OUTBOX_UNIT};
    return &channel;
}
