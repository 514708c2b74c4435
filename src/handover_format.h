// SPDX-License-Identifier: MIT
#pragma once

/*
 * What one process writes down for the next one: who is connected, what is owed to them, which
 * datagrams wait to be read. The descriptors go beside it, in the same order as the records of
 * connections (handover_channel.h).
 *
 * Both run on the same host, so numbers are in its byte order. A reader takes all of it or nothing:
 * a version that it does not know, or anything that it does not understand, is an error before the
 * first record is used.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "activation.h"

enum { HANDOVER_VERSION = 1 };

enum handover_kind {
    HANDOVER_CONNECTION = 1, /* has been admitted, and is echoed to */
    HANDOVER_FAREWELL,       /* is to be sent the rest of a last word, and closed */
    HANDOVER_DATAGRAM,       /* a reply that waits to be read; those to one sender in their order */
    HANDOVER_KINDS,
};

struct handover_record {
    enum handover_kind kind;
    uid_t uid; /* of the client or sender */

    /* Of connections and farewells. */
    enum role role;
    int type; /* SOCK_STREAM or SOCK_SEQPACKET */
    uint64_t idle_usec;
    bool owes;     /* the data below, which may be an empty message */
    bool oversize; /* nothing, but the kernel holds a message beyond SO_SNDBUF */

    /* Of datagrams: the address that it was sent to, and its sender's. */
    const void *own;
    size_t own_size;
    const void *sender;
    size_t sender_size;
    bool brief;

    const void *data;
    size_t length;
};

/* Begins a file, appends to it, and completes it with how many records there are. FILE is seekable;
 * that something went wrong with it is for ferror(3) and the last function, which returns 0 or a
 * negative errno, to say. */
void handover_begin(FILE *file);
void handover_write(FILE *file, const struct handover_record *record);
int handover_complete(FILE *file, uint64_t records);

struct handover_reader {
    const char *at;
    const char *end;
};

/*
 * Examines SIZE bytes at DATA, which have to stay as long as the reader and its records. Returns 0,
 * -EPROTONOSUPPORT for another version, or -EBADMSG.
 */
int handover_open(struct handover_reader *reader, const void *data, size_t size);

/* Reads the next record. Returns false at the end. */
bool handover_next(struct handover_reader *reader, struct handover_record *record);
