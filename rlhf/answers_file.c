#include "rlhf/answers_file.h"

#include "core/h5.h"

#include <stdlib.h>
#include <string.h>

enum { FACTS = 8 };

static ae_status out_of_memory(const char *path) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
}

static int64_t count_ids(const ae_written_set *s) {
    int64_t n = 0;
    for (ptrdiff_t i = 0; i < s->n; i++) n += s->items[i].n_prompt + s->items[i].seen.n;
    return n;
}

/* What of a set is not an array of it. */
typedef struct {
    int32_t *ids;
    int64_t (*facts)[FACTS];
    double *rewards;
    int64_t n_ids;
} flat;

static ae_status flat_init(flat *f, size_t n, size_t n_ids, const char *path) {
    *f = (flat){.ids = calloc(n_ids, sizeof *f->ids),
                .facts = calloc(n, sizeof *f->facts),
                .rewards = calloc(n, sizeof *f->rewards),
                .n_ids = (int64_t)n_ids};
    return f->ids && f->facts && f->rewards ? AE_OK : out_of_memory(path);
}

static void flat_free(flat *f) {
    free(f->ids);
    free(f->facts);
    free(f->rewards);
}

/* ---- writing ---- */

static void flatten(flat *f, const ae_written_set *s) {
    int64_t at = 0;
    for (ptrdiff_t i = 0; i < s->n; i++) {
        const ae_written *w = &s->items[i];
        const int64_t n = w->n_prompt + w->seen.n;
        const int64_t facts[FACTS] = {w->seen.prompt, w->seen.writer, w->seen.n,   w->seen.truncated,
                                      w->seen.counts, w->document,    w->n_prompt, w->unread};
        memcpy(f->facts[i], facts, sizeof facts);
        memcpy(f->ids + at, w->tokens, (size_t)n * sizeof *f->ids);
        f->rewards[i] = w->seen.reward;
        at += n;
    }
}

ae_status ae_written_save(const ae_written_set *s, const double *parts, int64_t columns, const char *path) {
    flat f;
    hid_t file = H5I_INVALID_HID;
    const int64_t n = s->n, facts[] = {n, FACTS}, values[] = {AE_WRITTEN_ARRAYS, s->tokens},
                  kept[] = {n, columns};
    if (n < 1) return AE_FAIL(AE_ERR_DEFECT, "%s: expected answers, found none", path);
    ae_status st = flat_init(&f, (size_t)n, (size_t)count_ids(s), path);
    if (st != AE_OK) goto out;
    flatten(&f, s);
    AE_TRY(ae_h5_create(&file, path));
    AE_TRY(ae_h5_write(file, path, "tokens", H5T_NATIVE_INT32, 1, &f.n_ids, f.ids));
    AE_TRY(ae_h5_write(file, path, "facts", H5T_NATIVE_INT64, 2, facts, f.facts));
    AE_TRY(ae_h5_write(file, path, "rewards", H5T_NATIVE_DOUBLE, 1, &n, f.rewards));
    AE_TRY(ae_h5_write(file, path, "values", H5T_NATIVE_FLOAT, 2, values, s->memory));
    AE_TRY(ae_h5_write(file, path, "parts", H5T_NATIVE_DOUBLE, 2, kept, parts));
    AE_TRY(ae_h5_set_attr_int(file, path, "prompts", s->prompts));
out:
    if (file >= 0) {
        const ae_status closed = ae_h5_close(file, path);
        if (st == AE_OK) st = closed;
    }
    flat_free(&f);
    return st;
}

/* ---- reading ---- */

static ae_status refuse(const char *path) {
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected answers to prompts, found something else; take another checkpoint", path);
}

static ae_status take_answer(ae_written *w, const int64_t *f, double reward, const int32_t *ids, int64_t left,
                             const char *path) {
    if (f[0] < 0 || f[1] < 0 || f[1] >= AE_RL_WRITERS || f[2] < 1 || f[6] < 1 || f[2] > left ||
        f[6] > left - f[2])
        return refuse(path);
    *w = (ae_written){.document = f[5], .n_prompt = (ptrdiff_t)f[6], .place = -1, .unread = f[7] != 0};
    w->seen = (ae_rl_answer){.prompt = (ptrdiff_t)f[0],
                             .writer = (ae_rl_writer)f[1],
                             .n = (ptrdiff_t)f[2],
                             .truncated = f[3] != 0,
                             .counts = f[4] != 0,
                             .reward = reward};
    const size_t bytes = (size_t)(f[2] + f[6]) * sizeof *ids;
    w->tokens = malloc(bytes);
    if (!w->tokens) return out_of_memory(path);
    memcpy(w->tokens, ids, bytes);
    return AE_OK;
}

static ae_status unflatten(ae_written_set *s, const flat *f, const char *path) {
    int64_t at = 0;
    ae_status st = AE_OK;
    for (ptrdiff_t i = 0; i < s->n && st == AE_OK; i++) {
        st = take_answer(&s->items[i], f->facts[i], f->rewards[i], f->ids + at, f->n_ids - at, path);
        at += s->items[i].n_prompt + s->items[i].seen.n;
    }
    return st == AE_OK && at != f->n_ids ? refuse(path) : st;
}

static ae_status read_arrays(hid_t file, ae_written_set *s, double *parts, int64_t columns,
                             const char *path) {
    const int64_t values[] = {AE_WRITTEN_ARRAYS, s->tokens}, kept[] = {s->n, columns};
    ae_status st = ae_h5_read(file, path, "values", H5T_NATIVE_FLOAT, 2, values, s->memory);
    return st == AE_OK ? ae_h5_read(file, path, "parts", H5T_NATIVE_DOUBLE, 2, kept, parts) : st;
}

ae_status ae_written_load(ae_written_set *s, double **parts, int64_t columns, unsigned has,
                          const char *path) {
    flat f = {0};
    hid_t file = H5I_INVALID_HID;
    int64_t n = 0, n_ids = 0, prompts = 0;
    ae_status st;
    *s = (ae_written_set){0};
    *parts = NULL;
    AE_TRY(ae_h5_open(&file, path));
    AE_TRY(ae_h5_length(file, path, "rewards", &n));
    AE_TRY(ae_h5_length(file, path, "tokens", &n_ids));
    AE_TRY(ae_h5_attr_int(file, path, "prompts", &prompts));
    if (n < 1 || n_ids < 1 || prompts < 1) AE_TRY(refuse(path));
    AE_TRY(flat_init(&f, (size_t)n, (size_t)n_ids, path));
    AE_TRY(ae_h5_read(file, path, "tokens", H5T_NATIVE_INT32, 1, &n_ids, f.ids));
    AE_TRY(ae_h5_read(file, path, "facts", H5T_NATIVE_INT64, 2, (const int64_t[]){n, FACTS}, f.facts));
    AE_TRY(ae_h5_read(file, path, "rewards", H5T_NATIVE_DOUBLE, 1, &n, f.rewards));
    AE_TRY(ae_written_set_init(s, (ptrdiff_t)n, (ptrdiff_t)prompts));
    AE_TRY(unflatten(s, &f, path));
    AE_TRY(ae_written_set_take(s, has));
    *parts = calloc((size_t)(n * columns), sizeof **parts);
    if (!*parts) AE_TRY(out_of_memory(path));
    AE_TRY(read_arrays(file, s, *parts, columns, path));
out:
    if (file >= 0) ae_h5_close(file, path);
    flat_free(&f);
    if (st == AE_OK) return st;
    ae_written_set_free(s);
    free(*parts);
    *parts = NULL;
    return st;
}
