#include "core/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void overrun(const ae_arena *a, size_t bytes) {
    fprintf(stderr, "aerie: arena overrun: %zu bytes asked, %zu of %zu taken\n", bytes, a->used, a->capacity);
    abort();
}

void *ae_arena_take(ae_arena *a, size_t bytes) {
    if (bytes > SIZE_MAX - a->used - AE_ARENA_ALIGN) overrun(a, bytes);
    size_t start = a->used;
    size_t end = start + (bytes + AE_ARENA_ALIGN - 1) / AE_ARENA_ALIGN * AE_ARENA_ALIGN;
    if (a->base != NULL && end > a->capacity) overrun(a, bytes);
    assert((uintptr_t)a->base % AE_ARENA_ALIGN == 0);
    a->used = end;
    if (end > a->high) a->high = end;
    return a->base != NULL ? a->base + start : NULL;
}

ae_room ae_arena_room(ae_arena *a, size_t bytes) {
    return (ae_room){.at = ae_arena_take(a, bytes), .bytes = bytes};
}

size_t ae_arena_mark(const ae_arena *a) {
    return a->used;
}

void ae_arena_rewind(ae_arena *a, size_t mark) {
    assert(mark <= a->used);
    a->used = mark;
}
