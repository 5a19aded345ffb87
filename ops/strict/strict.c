#include "ops/backend.h"
#include "ops/compose/compose.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* All memory of a strict backend lies in one reserved region that no code may touch. A row opens it and runs the CPU
 * row; the last row at work closes it. Between rows a read or write by the host faults, as it would on a device with
 * memory of its own. Composite rows are composed, so they run with the region closed and prove that composition never
 * looks at an element. */

enum { ALIGNMENT = 64, PAGE = 4096 };
static const size_t region_bytes = (size_t)1 << 30;

/* Spans cover the region from its start, in order, used and free; neighbours that are free are one. */
typedef struct span {
    size_t offset, bytes;
    bool used;
    struct span *next;
} span;

typedef struct {
    char *base;
    span *spans;
    pthread_mutex_t lock; /* of the two below: another thread may download during a row */
    size_t opened_bytes;  /* from the start: as far as memory is in use */
    int openings;         /* rows at work */
    ae_backend cpu;
} strict;

/* ---- the region ---- */

static void protect(const strict *r, int protection) {
    if (r->opened_bytes > 0 && mprotect(r->base, r->opened_bytes, protection) != 0) abort();
}

static void open_region(strict *r) {
    pthread_mutex_lock(&r->lock);
    r->openings++;
    protect(r, PROT_READ | PROT_WRITE);
    pthread_mutex_unlock(&r->lock);
}

static void close_region(strict *r) {
    pthread_mutex_lock(&r->lock);
    if (--r->openings == 0) protect(r, PROT_NONE);
    pthread_mutex_unlock(&r->lock);
}

static ae_status reserve_region(strict *r) {
    void *base = mmap(NULL, region_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base != MAP_FAILED) r->base = base;
    r->spans = malloc(sizeof *r->spans);
    if (!r->base || !r->spans)
        return AE_FAIL(AE_ERR_RESOURCE,
                       "strict backend: expected %zu bytes of address space; found none free", region_bytes);
    *r->spans = (span){.bytes = region_bytes};
    return AE_OK;
}

static span *first_fit(const strict *r, size_t bytes) {
    span *s = r->spans;
    while (s && (s->used || s->bytes < bytes)) s = s->next;
    return s;
}

/* Cuts s so that it holds `bytes`; false when there is no memory for the rest's entry. */
static bool trim(span *s, size_t bytes) {
    if (s->bytes == bytes) return true;
    span *rest = malloc(sizeof *rest);
    if (!rest) return false;
    *rest = (span){.offset = s->offset + bytes, .bytes = s->bytes - bytes, .next = s->next};
    s->bytes = bytes;
    s->next = rest;
    return true;
}

static size_t page_end(size_t offset) {
    return (offset + PAGE - 1) / PAGE * PAGE;
}

static void poison(strict *r, const span *s) {
    const size_t end = page_end(s->offset + s->bytes);
    pthread_mutex_lock(&r->lock);
    if (end > r->opened_bytes) r->opened_bytes = end;
    pthread_mutex_unlock(&r->lock);
    open_region(r);
    memset(r->base + s->offset, 0xff, s->bytes);
    close_region(r);
}

static void join_with_next(span *s) {
    span *next = s->next;
    if (s->used || !next || next->used) return;
    s->bytes += next->bytes;
    s->next = next->next;
    free(next);
}

/* Opening costs time for every page: not those past the last span in use. Pages that are open now must be closed
 * first. */
static void shrink_opened(strict *r) {
    size_t end = 0;
    for (const span *s = r->spans; s; s = s->next)
        if (s->used) end = s->offset + s->bytes;
    pthread_mutex_lock(&r->lock);
    if (r->openings == 0) r->opened_bytes = page_end(end);
    pthread_mutex_unlock(&r->lock);
}

/* ---- rows ---- */

static ae_status strict_alloc(const ae_backend *be, void **ptr, size_t bytes) {
    strict *r = be->self;
    const size_t rounded = bytes > region_bytes ? bytes : (bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    *ptr = NULL;
    span *s = first_fit(r, rounded);
    if (!s || !trim(s, rounded))
        return AE_FAIL(AE_ERR_RESOURCE,
                       "strict backend: expected room for %zu bytes, found none in its region of %zu", bytes,
                       region_bytes);
    s->used = true;
    poison(r, s);
    *ptr = r->base + s->offset;
    return AE_OK;
}

static void strict_release(const ae_backend *be, void *ptr, size_t bytes) {
    strict *r = be->self;
    if (!ptr) return;
    span *before = NULL, *s = r->spans;
    while (s && r->base + s->offset != (char *)ptr) before = s, s = s->next;
    if (!s || !s->used || bytes > s->bytes) abort(); /* not ours, or given back twice */
    poison(r, s);
    s->used = false;
    join_with_next(s);
    if (before) join_with_next(before);
    shrink_opened(r);
}

static ae_status strict_sync(const ae_backend *be) {
    return be->inner->sync(be->inner);
}

static void destroy(ae_backend *be) {
    strict *r = be->self;
    for (span *s = r->spans, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    if (r->base) (void)munmap(r->base, region_bytes);
    ae_backend_free(&r->cpu);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
}

/* A row of the CPU, with the region open. */
#define ROW(name, parameters, arguments, ...)                                                                \
    static void strict_##name parameters {                                                                   \
        strict *r = be->self;                                                                                \
        be = be->inner;                                                                                      \
        open_region(r);                                                                                      \
        be->name arguments;                                                                                  \
        close_region(r);                                                                                     \
    }
AE_MEMORY_ROWS(ROW)
AE_OP_ROWS(ROW)
#undef ROW

#define SIZE(name, parameters, arguments)                                                                    \
    static size_t strict_##name parameters {                                                                 \
        be = be->inner;                                                                                      \
        return be->name arguments;                                                                           \
    }
AE_MEMORY_SIZES(SIZE)
AE_OP_SIZES(SIZE)
#undef SIZE

static void set_rows(ae_backend *be) {
#define SET(name, ...) be->name = strict_##name;
    AE_MEMORY_ROWS(SET)
    AE_MEMORY_SIZES(SET)
    AE_OP_ROWS(SET)
    AE_OP_SIZES(SET)
#undef SET
    be->alloc = strict_alloc;
    be->release = strict_release;
    be->sync = strict_sync;
    be->destroy = destroy;
    ae_compose_fill(be);
}

ae_status ae_backend_strict(ae_backend *be, const ae_backend_options *options) {
    ae_status st = AE_OK;
    *be = (ae_backend){0};
    strict *r = calloc(1, sizeof *r);
    if (!r) return AE_FAIL(AE_ERR_RESOURCE, "out of memory for a backend");
    (void)pthread_mutex_init(&r->lock, NULL); /* of the default kind it cannot fail */
    be->self = r;
    be->destroy = destroy;
    AE_TRY(ae_backend_cpu(&r->cpu, options));
    AE_TRY(reserve_region(r));
    *be = r->cpu;
    be->self = r;
    be->inner = &r->cpu;
    be->name = "strict";
    set_rows(be);
out:
    if (st != AE_OK) ae_backend_free(be);
    return st;
}
