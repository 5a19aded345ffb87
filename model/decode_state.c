#include "core/arena.h"
#include "model/decode.h"
#include "model/views.h"

#include <assert.h>
#include <stdlib.h>

/* Block after block, each part [B, ...]. */
static ae_decode_part take_part(ae_arena *a, const ae_backend *be, const ae_model_config *c, ptrdiff_t block,
                                ptrdiff_t B) {
    ae_decode_part s;
    if (c->pattern[block] == AE_ATTENTION) {
        s.first_bytes = s.second_bytes = (size_t)(c->W * c->G * c->H) * be->act_bytes;
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

size_t ae_decode_state_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t B) {
    return device_bytes(be, c, B) + (size_t)B * sizeof(int32_t);
}

ae_status ae_decode_state_init(ae_decode_state *s, const ae_model *m, ptrdiff_t B) {
    *s = (ae_decode_state){.model = m, .B = B};
    if (ae_model_attends(&m->config) && m->config.W < 0)
        return AE_FAIL(AE_ERR_INPUT,
                       "decoding: expected an attention window, found none: the state of this model has "
                       "no fixed size; set model.window");
    s->memory_bytes = device_bytes(m->be, &m->config, B);
    s->positions = calloc((size_t)B, sizeof *s->positions);
    ae_status st = s->positions != NULL ? m->be->alloc(m->be, &s->memory, s->memory_bytes)
                                        : AE_FAIL(AE_ERR_RESOURCE, "decoding state: out of memory");
    if (st == AE_OK)
        m->be->zero(m->be, s->memory, s->memory_bytes);
    else
        ae_decode_state_free(s);
    return st;
}

void ae_decode_state_free(ae_decode_state *s) {
    if (s->model != NULL) s->model->be->release(s->model->be, s->memory, s->memory_bytes);
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
    for (ptrdiff_t i = 0; i < block; i++) take_part(&a, m->be, &m->config, i, s->B);
    ae_decode_part part = take_part(&a, m->be, &m->config, block, s->B);
    part.first = (char *)part.first + (size_t)b * part.first_bytes;
    part.second = (char *)part.second + (size_t)b * part.second_bytes;
    return part;
}

/* Bytes of a part that are in use: position p of a ring lies at p mod W. */
static void used_bytes(const ae_model *m, ptrdiff_t block, int32_t position, size_t *first, size_t *second) {
    const ae_model_config *c = &m->config;
    ae_arena counting = {0};
    const ae_decode_part whole = take_part(&counting, m->be, c, block, 1);
    *first = position > 0 ? whole.first_bytes : 0;
    *second = position > 0 ? whole.second_bytes : 0;
    if (c->pattern[block] == AE_ATTENTION && position < c->W)
        *first = *second = (size_t)(position * c->G * c->H) * m->be->act_bytes;
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

void ae_decode_state_unpack(ae_decode_state *s, ptrdiff_t b, int32_t position, const void *in) {
    const ae_backend *be = s->model->be;
    const char *from = in;
    size_t first, second;
    for (ptrdiff_t i = 0; i < s->model->config.blocks; i++) {
        const ae_decode_part part = ae_decode_state_part(s, i, b);
        used_bytes(s->model, i, position, &first, &second);
        be->upload(be, part.first, from, first);
        be->upload(be, part.second, from + first, second);
        from += first + second;
    }
    s->positions[b] = position;
}

void ae_decode_state_copy_block(ae_decode_state *to, ptrdiff_t to_b, const ae_decode_state *from,
                                ptrdiff_t from_b, ptrdiff_t block, ptrdiff_t n) {
    const ae_backend *be = to->model->be;
    const ae_decode_part x = ae_decode_state_part(to, block, to_b),
                         y = ae_decode_state_part(from, block, from_b);
    assert(to_b + n <= to->B && from_b + n <= from->B);
    be->copy(be, x.first, y.first, (size_t)n * x.first_bytes);
    be->copy(be, x.second, y.second, (size_t)n * x.second_bytes);
}

void ae_decode_state_copy(ae_decode_state *to, ptrdiff_t to_b, const ae_decode_state *from,
                          ptrdiff_t from_b) {
    assert(to->model == from->model && to_b < to->B && from_b < from->B);
    const ae_model *m = to->model;
    if (to == from && to_b == from_b) return;
    for (ptrdiff_t i = 0; i < m->config.blocks; i++) ae_decode_state_copy_block(to, to_b, from, from_b, i, 1);
    to->positions[to_b] = from->positions[from_b];
}
