// SPDX-License-Identifier: MIT
#pragma once

/*
 * Many clients of one socket in one thread, all of the same conduct: what they send, whether they
 * read, how they leave. There are places for so many at once; each is taken by one client after
 * the other.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "conduct.h"

/* What became of connections, messages and bytes (pattern.h). */
struct tally {
    uint64_t connections; /* that the kernel let through to the service */
    uint64_t unreachable; /* attempts: there was no socket, or nobody who listens */
    uint64_t refused;     /* of these, ended by the service before anything came back */
    uint64_t lost;        /* of these, ended by the service later, or never answered */
    uint64_t answered;    /* of these, those to which something has come back */
    uint64_t finished;    /* of these, served to the end */
    uint64_t messages;    /* that came back */
    uint64_t bytes;       /* that came back */
    uint64_t lost_messages;
    uint64_t lost_bytes;
    uint64_t repeated_bytes;
    uint64_t swapped_bytes;
    uint64_t changed_bytes;
    uint64_t descriptors_passed;
    uint64_t descriptors_refused; /* by the kernel, at the client */
    uint64_t longest_wait_usec;   /* of a client for anything to come back */
};

struct client;

/* Clients to be looked at again, each after the same while, so those that are due come first. */
struct queue {
    uint64_t delay_usec;
    struct client *first;
    struct client *last;
};

void queue_add(struct queue *queue, struct client *client, uint64_t now);
void queue_remove(struct queue *queue, struct client *client);
/* The first one if it is due, no longer in the queue; or NULL. */
struct client *queue_take(struct queue *queue, uint64_t now);

struct swarm {
    struct sockaddr_un service;
    socklen_t service_length;
    int type;
    bool connects;   /* datagram clients, too */
    int send_buffer; /* SO_SNDBUF of each, 0: the kernel's default */
    struct conduct conduct;
    struct tally tally;

    int epoll_fd;
    int null_fd;           /* what is passed */
    size_t largest;        /* message that a client can send */
    unsigned char *buffer; /* for one message, and a byte */
    size_t buffer_size;
    uint64_t now;  /* CLOCK_MONOTONIC in microseconds, at the beginning of the turn */
    bool stopping; /* nothing new is begun */

    uint32_t next_sender;
    struct queue retries; /* the kernel had no room, and does not say when it has */
    struct queue pauses;
    struct queue vacant; /* places */
    unsigned n_open;     /* places that are taken */
};
