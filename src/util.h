// SPDX-License-Identifier: MIT
#pragma once

/*
 * The few helpers that every file needs: ownership that the compiler ends, the way from a member
 * back to the object around it, and what an error is about.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/* The object of TYPE whose MEMBER stands at POINTER. */
#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define CLEANUP(function) __attribute__((cleanup(function)))

/* Closes *FD if it is a descriptor and makes it -1, so that closing twice does nothing. */
static inline void fd_close(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* For CLEANUP on a pointer from malloc(3): POINTER is the variable's address. */
static inline void free_pointer(void *pointer)
{
    free(*(void **)pointer);
}

/* Whether ERROR says that something was missing here, and nothing of what was asked for. */
static inline bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}
