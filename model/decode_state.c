#include "core/arena.h"
#include "core/machine.h"
#include "model/decode.h"
#include "model/views.h"

#include <assert.h>
#include <stdlib.h>

static bool grows(const ae_model_config *c, ptrdiff_t block) {
    return c->pattern[block] == AE_ATTENTION && c->W < 0;
}

static ptrdiff_t growing_blocks(const ae_model_config *c) {
    ptrdiff_t n = 0;
    for (ptrdiff_t i = 0; i < c->blocks; i++) n += grows(c, i);
    return n;
}

/* ---- parts of fixed size ---- */

/* Of one token: its keys, or its values. */
static size_t key_bytes(const ae_backend *be, const ae_model_config *c) {
    return (size_t)(c->G * c->H) * be->act_bytes;
}

/* Block after block, each part [B, ...]; caches lie elsewhere. */
static ae_decode_part take_part(ae_arena *a, const ae_backend *be, const ae_model_config *c, ptrdiff_t block,
                                ptrdiff_t B) {
    ae_decode_part s = {0};
    if (grows(c, block)) return s;
    if (c->pattern[block] == AE_ATTENTION) {
        s.places = c->W;
        s.first_bytes = s.second_bytes = (size_t)c->W * key_bytes(be, c);
    } else {
        s.first_bytes = (size_t)c->C * sizeof(float);
        s.second_bytes = (size_t)((c->K - 1) * c->C) * sizeof(float);
    }
    s.first = ae_arena_take(a, (size_t)B * s.first_bytes);
    s.second = ae_arena_take(a, (size_t)B * s.second_bytes);
    return s;
}

static size_t device_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t B) {
    ae_arena counting = {0};
    for (ptrdiff_t i = 0; i < c->blocks; i++) take_part(&counting, be, c, i, B);
    return counting.high;
}

/* ---- caches ---- */

static size_t cache_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t B, ptrdiff_t places) {
    return 2 * (size_t)(B * places) * key_bytes(be, c);
}

static ptrdiff_t places_for(ptrdiff_t tokens, ptrdiff_t before) {
    return ae_ceil_div(ae_max(tokens, before + before / 4), AE_CACHE_CHUNK) * AE_CACHE_CHUNK;
}

static ae_decode_part part_of_cache(const ae_decode_state *s, const ae_decode_cache *cache, ptrdiff_t b) {
    const size_t each = (size_t)cache->places * key_bytes(s->model->be, &s->model->config);
    char *keys = cache->memory;
    ae_decode_part part = {.first_bytes = each, .second_bytes = each, .places = cache->places};
    if (keys == NULL) return part;
    part.first = keys + (size_t)b * each;
    part.second = keys + (size_t)(s->B + b) * each;
    return part;
}

/* What a sequence has read. */
static void copy_read(const ae_decode_state *from, ptrdiff_t b, const ae_decode_part *to,
                      const ae_decode_part *part) {
    const ae_backend *be = from->model->be;
    const size_t bytes = (size_t)from->positions[b] * key_bytes(be, &from->model->config);
    assert(bytes <= to->first_bytes);
    if (bytes == 0) return;
    be->copy(be, to->first, part->first, bytes);
    be->copy(be, to->second, part->second, bytes);
}

static ae_status grow(ae_decode_state *s, ptrdiff_t block, ptrdiff_t places) {
    const ae_backend *be = s->model->be;
    const ae_model_config *c = &s->model->config;
    const ae_decode_cache old = s->caches[block];
    ae_decode_cache new = {.places = places};
    const ae_status st = be->alloc(be, &new.memory, cache_bytes(be, c, s->B, places));
    if (st != AE_OK) return st;
    for (ptrdiff_t b = 0; b < s->B; b++) {
        const ae_decode_part to = part_of_cache(s, &new, b), from = part_of_cache(s, &old, b);
        copy_read(s, b, &to, &from);
    }
    be->release(be, old.memory, cache_bytes(be, c, s->B, old.places));
    s->caches[block] = new;
    return AE_OK;
}

static ae_status check_room(const ae_decode_state *s, ptrdiff_t blocks, ptrdiff_t places, ptrdiff_t before) {
    const size_t needed =
                     (size_t)blocks * cache_bytes(s->model->be, &s->model->config, s->B, places - before),
                 there = ae_memory_available_bytes();
    if (needed <= there) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE,
                   "caches of %td tokens for %td sequences: expected %.1f GB of memory more, found %.1f GB "
                   "available; attention without a window keeps all that was read",
                   places, s->B, (double)needed / 1e9, (double)there / 1e9);
}

/* Each block by itself, so that little lies there twice. */
ae_status ae_decode_state_reserve(ae_decode_state *s, ptrdiff_t tokens) {
    ptrdiff_t lacking = 0, before = 0;
    ae_status st = AE_OK;
    for (ptrdiff_t i = 0; s->caches != NULL && i < s->model->config.blocks; i++) {
        if (!grows(&s->model->config, i) || s->caches[i].places >= tokens) continue;
        before = ae_max(before, s->caches[i].places);
        lacking++;
    }
    if (lacking == 0) return AE_OK;
    const ptrdiff_t places = places_for(tokens, before);
    AE_TRY(check_room(s, lacking, places, before));
    for (ptrdiff_t i = 0; i < s->model->config.blocks; i++)
        if (grows(&s->model->config, i) && s->caches[i].places < tokens) AE_TRY(grow(s, i, places));
out:
    return st;
}

/* ---- states ---- */

size_t ae_decode_state_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t B, ptrdiff_t tokens) {
    return device_bytes(be, c, B) + (size_t)B * sizeof(int32_t) +
           (size_t)growing_blocks(c) * cache_bytes(be, c, B, places_for(tokens, 0));
}

size_t ae_decode_state_bytes_now(const ae_decode_state *s) {
    const ae_backend *be = s->model->be;
    const ae_model_config *c = &s->model->config;
    size_t bytes = s->memory_bytes + (size_t)s->B * sizeof *s->positions;
    for (ptrdiff_t i = 0; s->caches != NULL && i < c->blocks; i++)
        bytes += cache_bytes(be, c, s->B, s->caches[i].places);
    return bytes;
}

ae_status ae_decode_state_init(ae_decode_state *s, const ae_model *m, ptrdiff_t B) {
    const ae_model_config *c = &m->config;
    const bool growing = growing_blocks(c) > 0;
    *s = (ae_decode_state){.model = m, .B = B, .memory_bytes = device_bytes(m->be, c, B)};
    s->positions = calloc((size_t)B, sizeof *s->positions);
    if (growing) s->caches = calloc((size_t)c->blocks, sizeof *s->caches);
    ae_status st = s->positions != NULL && (s->caches != NULL || !growing)
                       ? m->be->alloc(m->be, &s->memory, s->memory_bytes)
                       : AE_FAIL(AE_ERR_RESOURCE, "decoding state: out of memory");
    if (st == AE_OK)
        m->be->zero(m->be, s->memory, s->memory_bytes);
    else
        ae_decode_state_free(s);
    return st;
}

static void free_caches(ae_decode_state *s) {
    const ae_backend *be = s->model->be;
    const ae_model_config *c = &s->model->config;
    for (ptrdiff_t i = 0; s->caches != NULL && i < c->blocks; i++)
        be->release(be, s->caches[i].memory, cache_bytes(be, c, s->B, s->caches[i].places));
    free(s->caches);
}

void ae_decode_state_free(ae_decode_state *s) {
    if (s->model != NULL) {
        s->model->be->release(s->model->be, s->memory, s->memory_bytes);
        free_caches(s);
    }
    free(s->positions);
    *s = (ae_decode_state){0};
}

/* The ops read nothing of a sequence that stands at position 0. */
void ae_decode_state_reset(ae_decode_state *s, ptrdiff_t b) {
    s->positions[b] = 0;
}

ae_decode_part ae_decode_state_part(const ae_decode_state *s, ptrdiff_t block, ptrdiff_t b) {
    ae_arena a = {.base = s->memory, .capacity = s->memory_bytes};
    const ae_model *m = s->model;
    assert(block < m->config.blocks && b < s->B);
    if (grows(&m->config, block)) return part_of_cache(s, &s->caches[block], b);
    for (ptrdiff_t i = 0; i < block; i++) take_part(&a, m->be, &m->config, i, s->B);
    ae_decode_part part = take_part(&a, m->be, &m->config, block, s->B);
    part.first = (char *)part.first + (size_t)b * part.first_bytes;
    part.second = (char *)part.second + (size_t)b * part.second_bytes;
    return part;
}

/* ---- states as values ---- */

/* Bytes of a part that are in use: position p of a ring lies at p mod W, of a cache at p. */
static void used_bytes(const ae_model *m, ptrdiff_t block, int32_t position, size_t *first, size_t *second) {
    const ae_model_config *c = &m->config;
    ae_arena counting = {0};
    const ae_decode_part whole = take_part(&counting, m->be, c, block, 1);
    *first = position > 0 ? whole.first_bytes : 0;
    *second = position > 0 ? whole.second_bytes : 0;
    if (grows(c, block) || (c->pattern[block] == AE_ATTENTION && position < c->W))
        *first = *second = (size_t)position * key_bytes(m->be, c);
}

size_t ae_decode_state_packed_bytes(const ae_model *m, int32_t position) {
    size_t bytes = 0, first, second;
    for (ptrdiff_t i = 0; i < m->config.blocks; i++) {
        used_bytes(m, i, position, &first, &second);
        bytes += first + second;
    }
    return bytes;
}

void ae_decode_state_pack(const ae_decode_state *s, ptrdiff_t b, void *out) {
    const ae_backend *be = s->model->be;
    char *to = out;
    size_t first, second;
    for (ptrdiff_t i = 0; i < s->model->config.blocks; i++) {
        const ae_decode_part part = ae_decode_state_part(s, i, b);
        used_bytes(s->model, i, s->positions[b], &first, &second);
        be->download(be, to, part.first, first);
        be->download(be, to + first, part.second, second);
        to += first + second;
    }
}

ae_status ae_decode_state_unpack(ae_decode_state *s, ptrdiff_t b, int32_t position, const void *in) {
    const ae_backend *be = s->model->be;
    const char *from = in;
    size_t first, second;
    const ae_status st = ae_decode_state_reserve(s, position);
    if (st != AE_OK) return st;
    for (ptrdiff_t i = 0; i < s->model->config.blocks; i++) {
        const ae_decode_part part = ae_decode_state_part(s, i, b);
        used_bytes(s->model, i, position, &first, &second);
        be->upload(be, part.first, from, first);
        be->upload(be, part.second, from + first, second);
        from += first + second;
    }
    s->positions[b] = position;
    return AE_OK;
}

void ae_decode_state_copy_block(ae_decode_state *to, ptrdiff_t to_b, const ae_decode_state *from,
                                ptrdiff_t from_b, ptrdiff_t block, ptrdiff_t n) {
    const ae_backend *be = to->model->be;
    assert(to_b + n <= to->B && from_b + n <= from->B);
    const ae_decode_part x = ae_decode_state_part(to, block, to_b),
                         y = ae_decode_state_part(from, block, from_b);
    if (!grows(&to->model->config, block)) {
        be->copy(be, x.first, y.first, (size_t)n * x.first_bytes);
        be->copy(be, x.second, y.second, (size_t)n * x.second_bytes);
        return;
    }
    for (ptrdiff_t b = 0; b < n; b++) {
        const ae_decode_part one = ae_decode_state_part(to, block, to_b + b),
                             other = ae_decode_state_part(from, block, from_b + b);
        copy_read(from, from_b + b, &one, &other);
    }
}

ae_status ae_decode_state_copy(ae_decode_state *to, ptrdiff_t to_b, const ae_decode_state *from,
                               ptrdiff_t from_b) {
    assert(to->model == from->model && to_b < to->B && from_b < from->B);
    const ae_model *m = to->model;
    if (to == from && to_b == from_b) return AE_OK;
    const ae_status st = ae_decode_state_reserve(to, from->positions[from_b]);
    if (st != AE_OK) return st;
    for (ptrdiff_t i = 0; i < m->config.blocks; i++) ae_decode_state_copy_block(to, to_b, from, from_b, i, 1);
    to->positions[to_b] = from->positions[from_b];
    return AE_OK;
}
