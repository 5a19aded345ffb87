#include "formats/tensors.h"

#include "core/file.h"
#include "core/h5.h"
#include "formats/integers.h"
#include "formats/stranger.h"
#include "formats/tensors_set.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void ae_tensors_free_items(ae_located *items, size_t n) {
    for (size_t i = 0; i < n; i++) free(items[i].name);
    free(items);
}

ae_status ae_tensors_make_items(ae_tensors *t, size_t n) {
    t->items = calloc(n + 1, sizeof *t->items);
    return t->items != NULL ? AE_OK : ae_tensors_out_of_memory(t->path);
}

ae_status ae_tensors_add_item(ae_tensors *t, const char *name, const ae_safetensors *file,
                              const ae_safetensor *item) {
    char *copy = strdup(name);
    if (copy == NULL) return ae_tensors_out_of_memory(t->path);
    t->items[t->n++] = (ae_located){.name = copy, .file = file, .item = item};
    return AE_OK;
}

/* ---- one file ---- */

static ae_status open_h5(ae_tensors *t, const char *path) {
    char **names = NULL;
    size_t n = 0;
    ae_status st;
    AE_TRY(ae_h5_open(&t->h5, path));
    AE_TRY(ae_h5_names(t->h5, path, &names, &n));
    AE_TRY(ae_tensors_make_items(t, n));
    for (size_t i = 0; i < n; i++) AE_TRY(ae_tensors_add_item(t, names[i], NULL, NULL));
out:
    ae_h5_free_names(names, n);
    return st;
}

static ae_status open_safetensors(ae_tensors *t, const char *path) {
    t->files = calloc(1, sizeof *t->files);
    if (t->files == NULL) return ae_tensors_out_of_memory(path);
    ae_status st = ae_safetensors_open(t->files, path);
    if (st != AE_OK) return st;
    t->n_files = 1;
    st = ae_tensors_make_items(t, t->files->n);
    for (size_t i = 0; st == AE_OK && i < t->files->n; i++)
        st = ae_tensors_add_item(t, t->files->items[i].name, t->files, &t->files->items[i]);
    return st;
}

bool ae_file_is_h5(const char *path) {
    static const char signature[8] = "\211HDF\r\n\032\n";
    const size_t n = strlen(path);
    char start[8] = "";
    if (n > 3 && strcmp(path + n - 3, ".h5") == 0) return true;
    FILE *f = fopen(path, "rbe");
    const size_t got = f != NULL ? fread(start, 1, sizeof start, f) : 0;
    if (f != NULL) fclose(f);
    return got == sizeof start && memcmp(start, signature, sizeof start) == 0;
}

static ae_status open_file(ae_tensors *t, const char *path) {
    return ae_file_is_h5(path) ? open_h5(t, path) : open_safetensors(t, path);
}

/* ---- shards ---- */

static bool is_plain_name(const char *name) {
    return name != NULL && name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
           strlen(name) < 256;
}

const char ae_shard_index_name[] = "model.safetensors.index.json";

static ae_status check_index(const json_t *root, const char *index) {
    json_t *map = json_object_get(root, "weight_map"), *file;
    const char *name;
    if (json_object_size(map) == 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: weight_map: expected tensors and their files, found none", index);
    json_object_foreach(map, name, file) {
        if (!is_plain_name(json_string_value(file)))
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: weight_map: %.200s: expected the name of a file beside the index", index,
                           name);
    }
    return AE_OK;
}

ae_status ae_shard_index_read(json_t **files, const char *index) {
    json_t *root = NULL;
    ae_status st = ae_json_load(&root, index);
    if (st == AE_OK) st = check_index(root, index);
    *files = st == AE_OK ? json_incref(json_object_get(root, "weight_map")) : NULL;
    json_decref(root);
    return st;
}

ae_status ae_shard_find(char **path, const char *index, const char *file) {
    char *folder = strndup(index, (size_t)(ae_path_last(index) - index));
    if (folder == NULL) return ae_tensors_out_of_memory(index);
    *path = ae_path_join(folder, file);
    free(folder);
    if (ae_path_exists(*path)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: weight_map: expected %s beside it, found nothing there; copy it too",
                   index, file);
}

/* The file of a shard, opened at its first use. `files` never moves: it has a place for every tensor. */
static ae_status open_shard(ae_tensors *t, const char *index, const char *name, const ae_safetensors **file) {
    char *path = NULL;
    ae_status st = ae_shard_find(&path, index, name);
    *file = NULL;
    for (size_t i = 0; st == AE_OK && i < t->n_files; i++) {
        if (strcmp(t->files[i].path, path) == 0) *file = &t->files[i];
    }
    if (st == AE_OK && *file == NULL) {
        st = ae_safetensors_open(&t->files[t->n_files], path);
        if (st == AE_OK) *file = &t->files[t->n_files++];
    }
    free(path);
    return st;
}

static ae_status add_sharded(ae_tensors *t, const char *index, const char *name, const char *file_name) {
    const ae_safetensors *file;
    ae_status st = open_shard(t, index, file_name, &file);
    if (st != AE_OK) return st;
    const ae_safetensor *item = ae_safetensors_find(file, name);
    if (item == NULL)
        return AE_FAIL(AE_ERR_INPUT, "%s: weight_map: %.200s: expected in %s, which has no such tensor",
                       index, name, file_name);
    return ae_tensors_add_item(t, name, file, item);
}

static ae_status open_shards(ae_tensors *t, const char *index) {
    json_t *map = NULL;
    ae_status st;
    AE_TRY(ae_shard_index_read(&map, index));
    const size_t n = json_object_size(map);
    AE_TRY(ae_tensors_make_items(t, n));
    t->files = calloc(n, sizeof *t->files);
    if (t->files == NULL) AE_TRY(ae_tensors_out_of_memory(index));
    const char *name;
    json_t *shard;
    json_object_foreach(map, name, shard) {
        AE_TRY(add_sharded(t, index, name, json_string_value(shard)));
    }
out:
    json_decref(map);
    return st;
}

static ae_status open_folder(ae_tensors *t, const char *folder) {
    char *single = ae_path_join(folder, "model.safetensors");
    char *index = ae_path_join(folder, ae_shard_index_name);
    ae_status st;
    if (ae_path_exists(single))
        st = open_safetensors(t, single);
    else if (ae_path_exists(index))
        st = open_shards(t, index);
    else
        st = ae_no_weights(folder);
    free(index);
    free(single);
    return st;
}

/* ---- the set ---- */

static ae_status unwrap_all(ae_tensors *t) {
    const ae_status st = ae_tensors_unwrap_names(t);
    return st == AE_OK ? ae_tensors_rename_google(t) : st;
}

static ae_status unwrap_adapter(ae_tensors *t) {
    ae_tensors_unwrap_adapter(t);
    return AE_OK;
}

static ae_status open_with(ae_tensors **out, const char *path, ae_status (*name)(ae_tensors *)) {
    ae_tensors *t = calloc(1, sizeof *t);
    *out = NULL;
    if (t == NULL) return ae_tensors_out_of_memory(path);
    t->h5 = H5I_INVALID_HID;
    t->path = strdup(path);
    ae_status st = AE_OK;
    if (t->path == NULL)
        st = ae_tensors_out_of_memory(path);
    else if (!ae_path_exists(path))
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected a file or folder of weights, found nothing there", path);
    else
        st = ae_path_is_folder(path) ? open_folder(t, path) : open_file(t, path);
    if (st == AE_OK) st = name(t);
    if (st == AE_OK)
        *out = t;
    else
        ae_tensors_close(t);
    return st;
}

ae_status ae_tensors_open(ae_tensors **out, const char *path) {
    return open_with(out, path, unwrap_all);
}

ae_status ae_tensors_open_adapter(ae_tensors **out, const char *path) {
    return open_with(out, path, unwrap_adapter);
}

void ae_tensors_close(ae_tensors *t) {
    if (t == NULL) return;
    ae_tensors_free_items(t->items, t->n);
    for (size_t i = 0; i < t->n_files; i++) ae_safetensors_close(&t->files[i]);
    if (t->h5 >= 0) (void)ae_h5_close(t->h5, t->path); /* read only: nothing to lose */
    free(t->files);
    free(t->path);
    free(t);
}

ptrdiff_t ae_tensors_count(const ae_tensors *t) {
    return (ptrdiff_t)t->n;
}

const char *ae_tensors_name(const ae_tensors *t, ptrdiff_t i) {
    return t->items[i].name;
}

ptrdiff_t ae_tensors_find(const ae_tensors *t, const char *name) {
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->items[i].name, name) == 0) return (ptrdiff_t)i;
    }
    return -1;
}

static ae_status find(const ae_tensors *t, const char *name, const ae_located **at) {
    const ptrdiff_t i = ae_tensors_find(t, name);
    if (i < 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected this tensor, found none of that name", t->path, name);
    *at = &t->items[i];
    return AE_OK;
}

static void format_shape(char *out, size_t bytes, int rank, const int64_t *shape) {
    size_t used = (size_t)snprintf(out, bytes, "[");
    for (int i = 0; i < rank && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%" PRId64, i > 0 ? ", " : "", shape[i]);
    if (used < bytes) snprintf(out + used, bytes - used, "]");
}

/* A table may have more rows in the file than are taken. */
static bool has_shape(const ae_located *at, int rank, const int64_t *shape) {
    const ae_safetensor *s = at->item;
    if (s->rank != rank) return false;
    const int from = at->layout == AE_LAYOUT_FIRST_ROWS && s->shape[0] > shape[0] ? 1 : 0;
    return memcmp(s->shape + from, shape + from, (size_t)(rank - from) * sizeof *shape) == 0;
}

static ae_status expect_shape(const ae_located *at, int rank, const int64_t *shape) {
    const ae_safetensor *s = at->item;
    int64_t there[AE_LAYOUT_RANK_MAX];
    const int rank_there = ae_layout_shape(at->layout, rank, shape, there);
    if (has_shape(at, rank_there, there)) return AE_OK;
    char want[200], have[200];
    format_shape(want, sizeof want, rank_there, there);
    format_shape(have, sizeof have, s->rank, s->shape);
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected shape %s, found %s", at->file->path, s->name, want, have);
}

static int64_t count_of(int rank, const int64_t *shape) {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= shape[i];
    return n;
}

static ae_status open_compact(ae_tensors *t, const ae_located *at, int rank, const int64_t *shape,
                              ae_integers *c) {
    char name[300];
    const ae_located *scales = NULL;
    snprintf(name, sizeof name, "%s_scale", at->name);
    const ae_status st = find(t, name, &scales);
    if (st != AE_OK) return st;
    *c = (ae_integers){
        .file = at->file, .scale_file = scales->file, .integers = at->item, .scales = scales->item};
    return ae_integers_open(c, rank, shape);
}

static ae_status read_integers(ae_tensors *t, const ae_located *at, int rank, const int64_t *shape,
                               int64_t row, int64_t rows, float *out) {
    ae_integers c;
    const ae_status st = open_compact(t, at, rank, shape, &c);
    return st == AE_OK && rows > 0 ? ae_integers_read(&c, row, rows, out) : st;
}

enum { TURN = 64 };

/* Rows of a matrix that the file keeps transposed, `all_rows` numbers to a column. */
static ae_status read_turned(const ae_located *at, const int64_t *shape, int64_t cols, int64_t row,
                             int64_t rows, float *out) {
    const int64_t all_rows = shape[0], begin = at->half * all_rows * cols + row;
    float *block = malloc((size_t)(TURN * rows) * sizeof *block + 1);
    ae_status st = block != NULL ? AE_OK : ae_tensors_out_of_memory(at->file->path);
    for (int64_t c = 0; st == AE_OK && rows > 0 && c < cols; c += TURN) {
        const int64_t n = cols - c < TURN ? cols - c : TURN;
        for (int64_t i = 0; st == AE_OK && i < n; i++)
            st = ae_safetensors_read(at->file, at->item, begin + (c + i) * all_rows, rows, block + i * rows);
        for (int64_t r = 0; st == AE_OK && r < rows; r++)
            for (int64_t i = 0; i < n; i++) out[r * cols + c + i] = block[i * rows + r];
    }
    free(block);
    return st;
}

/* What is not kept as plain numbers in row-major order is read by whole rows. */
static ae_status read_rows(ae_tensors *t, const ae_located *at, int rank, const int64_t *shape, int64_t row,
                           int64_t rows, float *out) {
    if (at->item == NULL)
        return ae_h5_read_rows(t->h5, t->path, at->name, H5T_NATIVE_FLOAT, rank, shape, row, rows, out);
    if (ae_integers_bits(at->item) != 0) return read_integers(t, at, rank, shape, row, rows, out);
    return read_turned(at, shape, count_of(rank - 1, shape + 1), row, rows, out);
}

/* Elements may begin and end inside a row. */
static ae_status read_by_rows(ae_tensors *t, const ae_located *at, int rank, const int64_t *shape,
                              int64_t first, int64_t n, float *out) {
    const int64_t cols = count_of(rank - 1, shape + 1), row = cols > 0 ? first / cols : 0,
                  rows = cols > 0 ? (first + n + cols - 1) / cols - row : 0;
    if (row * cols == first && rows * cols == n) return read_rows(t, at, rank, shape, row, rows, out);
    float *whole = malloc((size_t)(rows * cols) * sizeof *whole);
    if (whole == NULL) return ae_tensors_out_of_memory(t->path);
    const ae_status st = read_rows(t, at, rank, shape, row, rows, whole);
    if (st == AE_OK) memcpy(out, whole + (first - row * cols), (size_t)n * sizeof *out);
    free(whole);
    return st;
}

/* An exponent of ones is an infinity or no number. */
static bool all_finite(const float *x, int64_t n) {
    const uint32_t exponent = 0x7f800000u;
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return bad == 0;
}

static ae_status check_finite(const ae_tensors *t, const ae_located *at, int64_t first, int64_t n,
                              const float *x) {
    if (all_finite(x, n)) return AE_OK;
    int64_t i = 0;
    while (isfinite(x[i])) i++;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: %s: expected numbers, found %s at element %" PRId64
                   ": what wrote the file had overflowed or diverged; take an "
                   "earlier checkpoint",
                   t->path, at->name, isnan(x[i]) ? "NaN" : "infinity", first + i);
}

static ae_status read_values(ae_tensors *t, const ae_located *at, int rank, const int64_t *shape,
                             int64_t first, int64_t n, float *out) {
    if (at->item == NULL || ae_integers_bits(at->item) != 0)
        return read_by_rows(t, at, rank, shape, first, n, out);
    const ae_status st = expect_shape(at, rank, shape);
    if (st != AE_OK) return st;
    if (ae_layout_is_turned(at->layout)) return read_by_rows(t, at, rank, shape, first, n, out);
    return ae_safetensors_read(at->file, at->item, at->half * count_of(rank, shape) + first, n, out);
}

ae_status ae_tensors_read_part(ae_tensors *t, const char *name, int rank, const int64_t *shape, int64_t first,
                               int64_t n, float *out) {
    const ae_located *at = NULL;
    ae_status st = find(t, name, &at);
    if (st == AE_OK) st = read_values(t, at, rank, shape, first, n, out);
    return st == AE_OK ? check_finite(t, at, first, n, out) : st;
}

ae_status ae_tensors_expect(ae_tensors *t, const char *name, int rank, const int64_t *shape) {
    return ae_tensors_read_part(t, name, rank, shape, 0, 0, NULL);
}

ae_status ae_tensors_read(ae_tensors *t, const char *name, int rank, const int64_t *shape, float *out) {
    return ae_tensors_read_part(t, name, rank, shape, 0, count_of(rank, shape), out);
}

ae_status ae_tensors_integers(ae_tensors *t, const char *name, int rank, const int64_t *shape, int *bits,
                              int64_t *group) {
    const ae_located *at = NULL;
    ae_status st = find(t, name, &at);
    *bits = 0;
    *group = 0;
    if (st != AE_OK || at->item == NULL || ae_integers_bits(at->item) == 0) return st;
    ae_integers c;
    st = open_compact(t, at, rank, shape, &c);
    *bits = c.bits;
    *group = c.group;
    return st;
}

/* Scales are bfloat16. */
static ae_status check_scales(const ae_tensors *t, const char *name, const uint16_t *scales, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if ((scales[i] & 0x7f80) == 0x7f80)
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %s_scale: expected numbers, found NaN or infinity; quantise the model again",
                           t->path, name);
    return AE_OK;
}

ae_status ae_tensors_scales(ae_tensors *t, const char *name, const int64_t *shape, int64_t first, int64_t n,
                            uint16_t *out) {
    const ae_located *at = NULL;
    ae_integers c;
    ae_status st = find(t, name, &at);
    if (st == AE_OK) st = open_compact(t, at, 2, shape, &c);
    if (st == AE_OK) st = ae_integers_read_scales(&c, first, n, out);
    return st == AE_OK ? check_scales(t, name, out, n * ((shape[1] + c.group - 1) / c.group)) : st;
}

bool ae_tensors_is_bf16(const ae_tensors *t, const char *name) {
    const ptrdiff_t i = ae_tensors_find(t, name);
    return i >= 0 && t->items[i].item != NULL && t->items[i].item->dtype == AE_FILE_BF16;
}

ae_status ae_tensors_check_data(const ae_tensors *t, bool *covered) {
    ae_status st = AE_OK;
    *covered = t->n_files > 0;
    for (size_t i = 0; st == AE_OK && i < t->n_files; i++) {
        *covered = *covered && t->files[i].has_crc;
        st = ae_safetensors_check_data(&t->files[i]);
    }
    return st;
}

/* ---- comparing ---- */

enum { PIECE = 1 << 18 };

static ae_status same_values(const ae_located *a, const ae_located *b, float *x, float *y, bool *same) {
    ae_status st = AE_OK;
    for (int64_t at = 0; *same && at < a->item->n; at += PIECE) {
        const int64_t n = a->item->n - at < PIECE ? a->item->n - at : PIECE;
        AE_TRY(ae_safetensors_read(a->file, a->item, at, n, x));
        AE_TRY(ae_safetensors_read(b->file, b->item, at, n, y));
        *same = memcmp(x, y, (size_t)n * sizeof *x) == 0;
    }
out:
    return st;
}

ae_status ae_tensors_same(ae_tensors *t, const char *a, const char *b, bool *same) {
    const ae_located *x = NULL, *y = NULL;
    ae_status st = find(t, a, &x);
    if (st == AE_OK) st = find(t, b, &y);
    if (st != AE_OK) return st;
    *same = x->item != NULL && y->item != NULL && x->item->rank == y->item->rank &&
            memcmp(x->item->shape, y->item->shape, sizeof x->item->shape) == 0;
    if (!*same) return AE_OK; /* native files hold every tensor once */
    float *room = malloc(2 * (size_t)PIECE * sizeof *room);
    if (room == NULL) return ae_tensors_out_of_memory(t->path);
    st = same_values(x, y, room, room + PIECE, same);
    free(room);
    return st;
}

/* ---- writing ---- */

ae_status ae_tensors_write_h5(const char *path, ptrdiff_t n, const char *const *names, const int *ranks,
                              const int64_t (*shapes)[3],
                              ae_status (*fetch)(void *context, ptrdiff_t i, const float **values),
                              void *context) {
    hid_t file = H5I_INVALID_HID;
    ae_status st;
    AE_TRY(ae_h5_create(&file, path));
    for (ptrdiff_t i = 0; i < n; i++) {
        const float *values = NULL;
        AE_TRY(fetch(context, i, &values));
        AE_TRY(ae_h5_write(file, path, names[i], H5T_NATIVE_FLOAT, ranks[i], shapes[i], values));
    }
out:
    if (file < 0) return st;
    const ae_status closed = ae_h5_close(file, path);
    if (st == AE_OK) st = closed;
    if (st != AE_OK) unlink(path);
    return st;
}
