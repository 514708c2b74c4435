// SPDX-License-Identifier: MIT
#include "scene.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

enum {
    READING_USEC = 30,      /* it takes so long to read, but every so many turns BUSY_USEC, */
    LONG_USEC = 2 * SECOND, /* or so long */
    RARELY = 2000,
    OWE_USEC = 50 * 1000, /* so often the hostile user is owed more */
};

struct sender scene_sender(uid_t uid, unsigned number)
{
    struct sender sender = {.uid = uid, .size = sizeof(sa_family_t) + sizeof(number)};

    sender.address.ss_family = AF_UNIX;
    memcpy((char *)&sender.address + sizeof(sa_family_t), &number, sizeof(number));
    return sender;
}

static unsigned number_of(const struct sender *sender)
{
    unsigned number;

    memcpy(&number, (const char *)&sender->address + sizeof(sa_family_t), sizeof(number));
    return number;
}

static uint64_t find_delay(const struct scene *scene)
{
    return scene->turns % RARELY == 0 && scene->is_late ? LONG_USEC
           : scene->turns % OFTEN == 0                  ? BUSY_USEC
                                                        : READING_USEC;
}

static int put(void *context, const struct sender *sender, const void *data, size_t length)
{
    struct scene *scene = context;

    (void)data;
    assert_true(scene->queued < CAPACITY);
    scene->queued += length + DEBT_ROOM;
    if (sender->uid == HOSTILE) {
        scene->hostile++;
        return 0;
    }
    if (scene->has_mute && number_of(sender) == 0) {
        scene->mute++;
        return 0;
    }
    if (scene->on_its_way == 0) {
        scene->turns++;
        scene->read_at = scene->now + find_delay(scene);
    }
    scene->on_its_way += length + DEBT_ROOM;
    scene->sent++;
    scene->last = number_of(sender);
    return 0;
}

static size_t queued(void *context)
{
    return ((const struct scene *)context)->queued;
}

int scene_begin(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));

    if (!scene) {
        return -1;
    }
    scene->quota = quota_new(quota_limits_complete((struct quota_limits){0}, 100));
    debts_init(&scene->debts, scene->quota);
    scene->queued = HALF;
    scene->now = SECOND;
    *state = scene;
    return scene->quota ? 0 : -1;
}

int scene_end(void **state)
{
    struct scene *scene = *state;

    debts_deinit(&scene->debts);
    quota_free(scene->quota);
    free(scene);
    return 0;
}

void scene_owe(struct scene *scene, uid_t uid, unsigned n)
{
    static const char data[SIZE];

    for (unsigned i = 0; i < n; i++) {
        struct sender sender = scene_sender(uid, i);
        if (debts_owed_to(&scene->debts, &sender) == 0) {
            (void)debts_add(&scene->debts, &sender, data, sizeof(data), scene->now);
        }
    }
}

void scene_pay(struct scene *scene)
{
    const struct debt_channel channel = {
        .send = put, .queued = queued, .context = scene, .capacity = CAPACITY};

    debts_pay(&scene->debts, scene->now, &channel);
}

void scene_pay_when_due(struct scene *scene)
{
    scene->now = scene->debts.retry_at;
    scene_pay(scene);
}

void scene_run(struct scene *scene, unsigned seconds, bool has_hostile)
{
    uint64_t end = scene->now + (uint64_t)seconds * SECOND;

    while (scene->now < end) {
        if (has_hostile && scene->now >= scene->owed_at) {
            scene_owe(scene, HOSTILE, HOSTILE_ADDRESSES);
            scene->owed_at = scene->now + OWE_USEC;
        }
        scene_owe(scene, HONEST, scene->on_its_way == 0 ? HONEST_ADDRESSES : 0);
        if (scene->on_its_way > 0 && scene->read_at <= scene->debts.retry_at) {
            scene->now = scene->read_at;
            scene->queued -= scene->on_its_way;
            scene->on_its_way = 0;
            scene->most = scene->queued > scene->most ? scene->queued : scene->most;
        } else {
            scene_pay_when_due(scene);
            assert_true(scene->debts.retry_at > scene->now);
        }
    }
}
