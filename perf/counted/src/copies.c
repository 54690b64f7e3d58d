// Counts what a program copies in user space: every call of memcpy and memmove, Rust's own included, for both resolve to
// these two. A thread says the sums on stderr, several times a second, as lines `copied: PID CALLS BYTES`. Linked into
// counting builds only.
//
// Not counted is what calls neither: copies that the compiler dissolved into a few instructions; those within the C library,
// as when realloc moves what it cannot extend; its other functions that copy, such as mempcpy, strcpy, and __memcpy_chk and
// its like, which C compiled with _FORTIFY_SOURCE calls; and ciphers, which write elsewhere than they read.

#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static atomic_ulong calls;
static atomic_ulong bytes;

static void count(size_t length) {
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&bytes, length, memory_order_relaxed);
}

static void copy_up(unsigned char *to, const unsigned char *from, size_t length) {
#if defined(__x86_64__)
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
#else
    while (length-- > 0) {
        *to++ = *from++;
        // Otherwise the compiler sees what this is, and calls memcpy.
        __asm__ volatile("" : : : "memory");
    }
#endif
}

static void copy_down(unsigned char *to, const unsigned char *from, size_t length) {
    while (length-- > 0) {
        to[length] = from[length];
        __asm__ volatile("" : : : "memory");
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    count(length);
    copy_up(to, from, length);
    return to;
}

void *memmove(void *to, const void *from, size_t length) {
    count(length);
    // As numbers, since C compares pointers within one object only. The difference wraps around where `to` lies below `from`.
    if ((uintptr_t)to - (uintptr_t)from < length)
        copy_down(to, from, length);
    else
        copy_up(to, from, length);
    return to;
}

static void *report(void *unused) {
    (void)unused;
    const struct timespec interval = {.tv_sec = 0, .tv_nsec = 100 * 1000 * 1000};
    for (;;) {
        char line[96];
        int length = snprintf(line, sizeof line, "copied: %d %lu %lu\n", (int)getpid(),
                              atomic_load_explicit(&calls, memory_order_relaxed),
                              atomic_load_explicit(&bytes, memory_order_relaxed));
        // Whoever reads stderr may be gone: then nobody counts.
        if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
            return NULL;
        nanosleep(&interval, NULL);
    }
}

__attribute__((constructor)) static void start(void) {
    // Signals are for the program's own threads.
    sigset_t all, held;
    sigfillset(&all);
    pthread_t thread;
    pthread_sigmask(SIG_BLOCK, &all, &held);
    if (pthread_create(&thread, NULL, report, NULL) == 0)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &held, NULL);
}
