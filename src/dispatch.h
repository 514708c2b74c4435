// SPDX-License-Identifier: MIT
#pragma once

/*
 * What a turn of a loop serves, and in which order: what the kernel says, then what goes first if
 * there was more than the turn had room for, then what was postponed (turns.h).
 */

#include <sys/epoll.h>

struct loop;

/* Serves N events of epoll_wait(2). Returns N and how much of the postponed was served. */
int loop_dispatch(struct loop *loop, struct epoll_event *events, int n);
