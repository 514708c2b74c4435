// SPDX-License-Identifier: MIT

/*
 * For LD_PRELOAD: counts a program's allocations, and has some of them fail, as a file says that is
 * shared with whoever tests it ($FAILING_MALLOC; struct control). What to fail may be changed at
 * any time. What is allocated before the program's libraries are set up is neither counted nor
 * failed.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, under the names that stay when the usual ones are taken. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

struct control {
    _Atomic uint64_t calls; /* so far */
    _Atomic uint64_t first; /* which one fails first, counted from 1; 0: none does, or is counted */
    _Atomic uint64_t last;  /* and the last one that does */
    _Atomic uint64_t number; /* how many of those there have been */
    _Atomic uint64_t failed; /* how many have failed */
};

static struct control *control;

__attribute__((constructor)) static void open_control(void)
{
    const char *path = getenv("FAILING_MALLOC");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *shared;

    if (fd < 0) {
        abort(); /* a test that fails nothing must not pass */
    }
    shared = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (shared == MAP_FAILED) {
        abort();
    }
    control = shared;
}

static bool fails(void)
{
    uint64_t first;
    uint64_t number;

    if (!control) {
        return false;
    }
    atomic_fetch_add(&control->calls, 1);
    first = atomic_load(&control->first);
    if (first == 0) {
        return false;
    }
    number = atomic_fetch_add(&control->number, 1) + 1;
    if (number < first || number > atomic_load(&control->last)) {
        return false;
    }
    atomic_fetch_add(&control->failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *pointer, size_t size)
{
    return fails() ? NULL : __libc_realloc(pointer, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **pointer, size_t alignment, size_t size)
{
    void *got = fails() ? NULL : __libc_memalign(alignment, size);

    if (!got) {
        return ENOMEM;
    }
    *pointer = got;
    return 0;
}
