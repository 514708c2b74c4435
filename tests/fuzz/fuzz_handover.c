// SPDX-License-Identifier: MIT

/*
 * libFuzzer on what one process hands over to the next: what is accepted can be read to its end,
 * stays within its bounds, makes sense, and is the same when it is written again.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "handover_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int condition)
{
    if (!condition) {
        abort();
    }
}

/* Touches every byte, for a sanitizer to see. */
static unsigned sum(const void *data, size_t length)
{
    const unsigned char *bytes = data;
    unsigned all = 0;

    for (size_t i = 0; i < length; i++) {
        all += bytes[i];
    }
    return all;
}

static void check(const struct handover_record *record)
{
    demand(record->kind > 0 && record->kind < HANDOVER_KINDS);
    demand(record->role <= ROLE_WHOAMI);
    demand(record->own_size <= sizeof(struct sockaddr_storage));
    demand(record->sender_size <= sizeof(struct sockaddr_storage));
    demand(record->length == 0 || record->owes || record->kind == HANDOVER_DATAGRAM);
    demand((record->type == SOCK_DGRAM) == (record->kind == HANDOVER_DATAGRAM));
    demand(sum(record->own, record->own_size) + sum(record->sender, record->sender_size) +
               sum(record->data, record->length) !=
           UINT32_MAX);
}

/* Writes all that READER reads; returns how many records that were. */
static uint64_t rewrite(struct handover_reader reader, FILE *file)
{
    struct handover_record record;
    uint64_t n = 0;

    handover_begin(file);
    while (handover_next(&reader, &record)) {
        check(&record);
        handover_write(file, &record);
        n++;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct handover_reader reader;
    char *again;
    FILE *file;

    if (handover_open(&reader, data, size) < 0) {
        return 0;
    }
    again = calloc(1, size + 1);
    file = again ? fmemopen(again, size + 1, "w") : NULL;
    demand(file != NULL);
    demand(handover_complete(file, rewrite(reader, file)) == 0);
    demand(handover_open(&reader, again, size) == 0);
    (void)fclose(file);
    free(again);
    return 0;
}
