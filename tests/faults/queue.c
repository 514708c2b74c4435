// SPDX-License-Identifier: MIT
#include "client.h"

void queue_add(struct queue *queue, struct client *client, uint64_t now)
{
    client->queue = queue;
    client->due = now + queue->delay_usec;
    client->next = NULL;
    client->previous = queue->last;
    *(queue->last ? &queue->last->next : &queue->first) = client;
    queue->last = client;
}

void queue_remove(struct queue *queue, struct client *client)
{
    *(client->previous ? &client->previous->next : &queue->first) = client->next;
    *(client->next ? &client->next->previous : &queue->last) = client->previous;
    client->queue = NULL;
}

struct client *queue_take(struct queue *queue, uint64_t now)
{
    struct client *client = queue->first;

    if (!client || client->due > now) {
        return NULL;
    }
    queue_remove(queue, client);
    return client;
}
