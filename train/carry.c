#include "train/carry.h"

#include "core/h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t ae_carry_bytes(const ae_backend *be, const ae_model_config *c, ptrdiff_t B, ptrdiff_t T) {
    return 2 * ae_decode_state_bytes(be, c, B, 0) + (size_t)(B + B * T) * sizeof(int32_t);
}

ae_status ae_carry_init(ae_carry *c, const ae_model *m, ptrdiff_t B, ptrdiff_t T) {
    ae_status st = AE_OK;
    *c = (ae_carry){0};
    AE_TRY(ae_decode_state_init(&c->states[0], m, B));
    AE_TRY(ae_decode_state_init(&c->states[1], m, B));
    c->bases = calloc((size_t)B, sizeof *c->bases);
    c->positions = calloc((size_t)(B * T), sizeof *c->positions);
    if (!c->bases || !c->positions) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "carried state: out of memory"));
out:
    if (st != AE_OK) ae_carry_free(c);
    return st;
}

void ae_carry_free(ae_carry *c) {
    ae_decode_state_free(&c->states[0]);
    ae_decode_state_free(&c->states[1]);
    free(c->bases);
    free(c->positions);
    *c = (ae_carry){0};
}

/* ---- steps ---- */

/* One row; `known` is the position that its state has come to. */
static void count_from_base(int32_t *to, const int32_t *from, ptrdiff_t T, int32_t known, int32_t *base) {
    ptrdiff_t t = 0;
    if (from[0] > 0 && from[0] - *base != known) *base = from[0];
    for (; t < T && from[t] > 0; t++) to[t] = from[t] - *base;
    if (t == T) return;
    *base = 0;
    memcpy(to + t, from + t, (size_t)(T - t) * sizeof *to);
}

ae_batch ae_carry_begin(ae_carry *c, const ae_batch *batch) {
    ae_batch b = *batch;
    const ae_decode_state *before = &c->states[c->now];
    for (ptrdiff_t row = 0; row < b.B; row++)
        count_from_base(c->positions + row * b.T, batch->positions + row * b.T, b.T, before->positions[row],
                        &c->bases[row]);
    b.positions = c->positions;
    c->rows = (ae_carried_rows){.before = before, .after = &c->states[1 - c->now]};
    return b;
}

void ae_carry_end(ae_carry *c, bool finite) {
    ae_decode_state *s = &c->states[c->now];
    if (finite)
        c->now = 1 - c->now;
    else
        for (ptrdiff_t row = 0; row < s->B; row++) ae_decode_state_reset(s, row);
}

/* ---- on disk ---- */

typedef struct {
    hid_t file;
    const char *path;
    bool writing;
    const ae_backend *be;
    void *room; /* host copy of one part */
} transfer;

/* One part of a block for all sequences, [B, elements]. Elements of two bytes travel as whole numbers: as
 * they are. */
static ae_status move_part(const transfer *t, ptrdiff_t block, const char *what, void *device, ptrdiff_t B,
                           size_t row_bytes, size_t element_bytes) {
    char name[64];
    const int64_t shape[] = {B, (int64_t)(row_bytes / element_bytes)};
    const hid_t type = element_bytes == sizeof(float) ? H5T_NATIVE_FLOAT : H5T_NATIVE_UINT16;
    const size_t bytes = (size_t)B * row_bytes;
    snprintf(name, sizeof name, "layers.%td.%s", block, what);
    if (bytes == 0) return AE_OK;
    if (t->writing) {
        t->be->download(t->be, t->room, device, bytes);
        return ae_h5_write(t->file, t->path, name, type, 2, shape, t->room);
    }
    const ae_status st = ae_h5_read(t->file, t->path, name, type, 2, shape, t->room);
    if (st == AE_OK) t->be->upload(t->be, device, t->room, bytes);
    return st;
}

static ae_status move_blocks(const transfer *t, const ae_decode_state *s) {
    ae_status st = AE_OK;
    const ae_model_config *m = &s->model->config;
    for (ptrdiff_t i = 0; i < m->blocks && st == AE_OK; i++) {
        const bool attends = m->pattern[i] == AE_ATTENTION;
        const ae_decode_part p = ae_decode_state_part(s, i, 0);
        const size_t element = attends ? t->be->act_bytes : sizeof(float);
        st = move_part(t, i, attends ? "keys" : "h", p.first, s->B, p.first_bytes, element);
        if (st == AE_OK)
            st = move_part(t, i, attends ? "values" : "inputs", p.second, s->B, p.second_bytes, element);
    }
    return st;
}

static ae_status move_counts(const transfer *t, const char *name, int32_t *values, ptrdiff_t B) {
    const int64_t shape[] = {B};
    return t->writing ? ae_h5_write(t->file, t->path, name, H5T_NATIVE_INT32, 1, shape, values)
                      : ae_h5_read(t->file, t->path, name, H5T_NATIVE_INT32, 1, shape, values);
}

static ae_status move_all(const ae_carry *c, transfer *t) {
    ae_status st = AE_OK;
    const ae_decode_state *s = &c->states[c->now];
    size_t most = 1;
    for (ptrdiff_t i = 0; i < s->model->config.blocks; i++) {
        const ae_decode_part p = ae_decode_state_part(s, i, 0);
        if (p.first_bytes > most) most = p.first_bytes;
        if (p.second_bytes > most) most = p.second_bytes;
    }
    t->be = s->model->be;
    t->room = malloc((size_t)s->B * most);
    if (!t->room) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", t->path));
    AE_TRY(move_counts(t, "positions", s->positions, s->B));
    AE_TRY(move_counts(t, "bases", c->bases, s->B));
    AE_TRY(move_blocks(t, s));
out:
    free(t->room);
    return st;
}

ae_status ae_carry_save(const ae_carry *c, const char *path) {
    transfer t = {.file = -1, .path = path, .writing = true};
    ae_status st = ae_h5_create(&t.file, path);
    if (st != AE_OK) return st;
    st = move_all(c, &t);
    const ae_status closed = ae_h5_close(t.file, path);
    return st == AE_OK ? closed : st;
}

ae_status ae_carry_load(ae_carry *c, const char *path) {
    transfer t = {.file = -1, .path = path};
    ae_status st = ae_h5_open(&t.file, path);
    if (st != AE_OK) return st;
    st = move_all(c, &t);
    const ae_status closed = ae_h5_close(t.file, path);
    return st == AE_OK ? closed : st;
}
