// Counts what a program copies in user space: every call of memcpy and memmove, Rust's own included, for both resolve to
// these two. src/lib.rs reports the sums. Linked into counting builds only.
//
// Not counted is what calls neither: copies that the compiler dissolved into a few instructions; those within the C library,
// as when realloc moves what it cannot extend; its other functions that copy, such as mempcpy, strcpy, and __memcpy_chk and
// its like, which C compiled with _FORTIFY_SOURCE calls; and ciphers, which write elsewhere than they read.

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

static _Atomic uint64_t calls;
static _Atomic uint64_t bytes;

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

uint64_t counted_copies(void) {
    return atomic_load_explicit(&calls, memory_order_relaxed);
}

uint64_t counted_copied_bytes(void) {
    return atomic_load_explicit(&bytes, memory_order_relaxed);
}
