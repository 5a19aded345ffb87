#include "formats/safetensors.h"

#include "formats/half.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

const char ae_safetensors_crc_key[] = "aerie_data_crc32";

enum { LENGTH_BYTES = 8, HEADER_MAX = 100 << 20, NAME_MAX_BYTES = 255, PIECE = 1 << 18 };

static const struct {
    const char *name;
    ae_file_dtype type;
    int bytes;
} dtypes[] = {{"F32", AE_FILE_F32, 4},
              {"BF16", AE_FILE_BF16, 2},
              {"F16", AE_FILE_F16, 2},
              {"I8", AE_FILE_I8, 1},
              {"U8", AE_FILE_U8, 1}};

static int element_bytes(ae_file_dtype type) {
    return dtypes[type].bytes;
}

static ae_status read_bytes(const ae_safetensors *f, int64_t at, void *out, size_t n) {
    for (size_t done = 0; done < n;) {
        const ssize_t got = pread(f->fd, (char *)out + done, n - done, at + (int64_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return AE_FAIL(AE_ERR_INPUT, "%s: cannot be read: %s", f->path, strerror(errno));
        if (got == 0)
            return AE_FAIL(AE_ERR_INPUT, "%s: ends at byte %" PRId64 " while being read", f->path, at);
        done += (size_t)got;
    }
    return AE_OK;
}

/* ---- one tensor of the header ---- */

/* Names appear in messages of one line. */
static ae_status check_name(const char *path, const char *name) {
    const size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return AE_FAIL(AE_ERR_INPUT, "%s: header: a tensor name with control characters", path);
    }
    if (n >= 1 && n <= NAME_MAX_BYTES) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: header: expected tensor names of 1 to %d bytes, found one of %zu", path,
                   NAME_MAX_BYTES, n);
}

static ae_status read_dtype(const char *path, const json_t *o, ae_safetensor *t) {
    const char *name = json_string_value(json_object_get(o, "dtype"));
    for (size_t i = 0; name != NULL && i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(dtypes[i].name, name) != 0) continue;
        t->dtype = dtypes[i].type;
        return AE_OK;
    }
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: %s: dtype: expected F32, BF16, F16, I8 or U8, found %.20s; save the weights in one of these",
        path, t->name, name != NULL ? name : "no text");
}

static ae_status read_shape(const char *path, const json_t *o, ae_safetensor *t) {
    const json_t *shape = json_object_get(o, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > AE_SAFETENSORS_RANK_MAX)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: shape: expected a list of at most %d sizes", path, t->name,
                       AE_SAFETENSORS_RANK_MAX);
    t->rank = (int)json_array_size(shape);
    t->n = 1;
    for (int i = 0; i < t->rank; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);
        if (!json_is_integer(size) || json_integer_value(size) < 0)
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: shape: expected whole numbers, not negative", path,
                           t->name);
        t->shape[i] = json_integer_value(size);
        if (__builtin_mul_overflow(t->n, t->shape[i], &t->n))
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: shape: too big", path, t->name);
    }
    return AE_OK;
}

static ae_status read_place(const ae_safetensors *f, const json_t *o, ae_safetensor *t) {
    const json_t *place = json_object_get(o, "data_offsets");
    const json_t *begin = json_array_get(place, 0), *end = json_array_get(place, 1);
    if (json_array_size(place) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: data_offsets: expected two whole numbers", f->path, t->name);
    t->begin = json_integer_value(begin);
    t->end = json_integer_value(end);
    if (t->begin < 0 || t->end < t->begin)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: %s: data_offsets: expected begin and end, found %" PRId64 " and %" PRId64,
                       f->path, t->name, t->begin, t->end);
    if (t->end > f->data_bytes)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: %s: ends at byte %" PRId64 " of the data, which has %" PRId64
                       ": the file is cut off; copy it again",
                       f->path, t->name, t->end, f->data_bytes);
    int64_t bytes;
    if (__builtin_mul_overflow(t->n, element_bytes(t->dtype), &bytes) || bytes != t->end - t->begin)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: %s: expected %" PRId64 " elements of %d bytes as its shape says, found %" PRId64
                       " bytes",
                       f->path, t->name, t->n, element_bytes(t->dtype), t->end - t->begin);
    return AE_OK;
}

static ae_status read_entry(const ae_safetensors *f, const char *name, const json_t *o, ae_safetensor *t) {
    ae_status st = check_name(f->path, name);
    if (st != AE_OK) return st;
    t->name = strdup(name);
    if (t->name == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", f->path);
    if (!json_is_object(o)) return AE_FAIL(AE_ERR_INPUT, "%s: header: %s: expected an object", f->path, name);
    AE_TRY(read_dtype(f->path, o, t));
    AE_TRY(read_shape(f->path, o, t));
    AE_TRY(read_place(f, o, t));
out:
    return st;
}

/* ---- the whole header ---- */

static int by_place(const void *a, const void *b) {
    const ae_safetensor *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The format leaves no byte of the data unused, and none used twice. */
static ae_status check_tiling(ae_safetensors *f) {
    int64_t at = 0;
    if (f->n > 0) qsort(f->items, f->n, sizeof *f->items, by_place);
    for (size_t i = 0; i < f->n; i++) {
        const ae_safetensor *t = &f->items[i];
        if (t->begin != at)
            return AE_FAIL(AE_ERR_INPUT,
                           "%s: %s: expected to begin at byte %" PRId64 " of the data, found %" PRId64 ": %s",
                           f->path, t->name, at, t->begin, t->begin < at ? "tensors overlap" : "a hole");
        at = t->end;
    }
    if (at == f->data_bytes) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected %" PRId64 " bytes of data as the header says, found %" PRId64,
                   f->path, at, f->data_bytes);
}

/* Eight digits and nothing else, or it is not ours. */
static void read_crc(ae_safetensors *f, const json_t *metadata) {
    const char *text = json_string_value(json_object_get(metadata, ae_safetensors_crc_key));
    f->has_crc = text != NULL && strlen(text) == 8 && strspn(text, "0123456789abcdef") == 8;
    f->crc = f->has_crc ? (uint32_t)strtoul(text, NULL, 16) : 0;
}

static ae_status read_entries(ae_safetensors *f, json_t *root) {
    const char *name;
    json_t *o;
    f->items = calloc(json_object_size(root) + 1, sizeof *f->items);
    if (f->items == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", f->path);
    json_object_foreach(root, name, o) {
        if (strcmp(name, "__metadata__") == 0) continue;
        const ae_status st = read_entry(f, name, o, &f->items[f->n++]);
        if (st != AE_OK) return st;
    }
    read_crc(f, json_object_get(root, "__metadata__"));
    return check_tiling(f);
}

static ae_status parse_header(ae_safetensors *f, const char *text, size_t n) {
    json_error_t e;
    json_t *root = text[0] == '{' ? json_loadb(text, n, JSON_REJECT_DUPLICATES, &e) : NULL;
    if (root == NULL)
        return AE_FAIL(AE_ERR_INPUT, "%s: header: expected one JSON object in its %zu bytes, found %.120s",
                       f->path, n, text[0] == '{' ? e.text : "something else");
    const ae_status st = read_entries(f, root);
    json_decref(root);
    return st;
}

static uint64_t little_endian(const unsigned char *b) {
    uint64_t x = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) x = x << 8 | b[i];
    return x;
}

static ae_status read_header(ae_safetensors *f, int64_t size) {
    unsigned char length[LENGTH_BYTES];
    if (size < LENGTH_BYTES)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a safetensors file, found %" PRId64 " bytes", f->path,
                       size);
    ae_status st = read_bytes(f, 0, length, sizeof length);
    if (st != AE_OK) return st;
    const uint64_t n = little_endian(length), most = (uint64_t)(size - LENGTH_BYTES);
    if (n < 2 || n > HEADER_MAX || n > most)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: header: expected 2 to %" PRIu64 " bytes, found a length of %" PRIu64
                       ": cut off, or no safetensors file; copy it again",
                       f->path, most < HEADER_MAX ? most : (uint64_t)HEADER_MAX, n);
    char *text = malloc(n);
    if (text == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", f->path);
    f->data_at = LENGTH_BYTES + (int64_t)n;
    f->data_bytes = size - f->data_at;
    st = read_bytes(f, LENGTH_BYTES, text, n);
    if (st == AE_OK) st = parse_header(f, text, n);
    free(text);
    return st;
}

ae_status ae_safetensors_open(ae_safetensors *f, const char *path) {
    *f = (ae_safetensors){.fd = open(path, O_RDONLY | O_CLOEXEC), .path = strdup(path)};
    struct stat s = {0};
    ae_status st = AE_OK;
    if (f->path == NULL)
        st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    else if (f->fd < 0 || fstat(f->fd, &s) != 0)
        st = AE_FAIL(AE_ERR_INPUT, "%s: cannot be opened: %s", path, strerror(errno));
    else if (!S_ISREG(s.st_mode))
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected a file, found something else", path);
    else
        st = read_header(f, s.st_size);
    if (st != AE_OK) ae_safetensors_close(f);
    return st;
}

void ae_safetensors_close(ae_safetensors *f) {
    for (size_t i = 0; i < f->n; i++) free(f->items[i].name);
    free(f->items);
    free(f->path);
    if (f->fd >= 0) close(f->fd);
    *f = (ae_safetensors){.fd = -1};
}

const ae_safetensor *ae_safetensors_find(const ae_safetensors *f, const char *name) {
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->items[i].name, name) == 0) return &f->items[i];
    }
    return NULL;
}

/* ---- values ---- */

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float from_bf16(uint16_t h) {
    return from_bits((uint32_t)h << 16);
}

static void widen(float *out, const void *in, size_t n, ae_file_dtype type) {
    const uint16_t *words = in;
    const uint8_t *bytes = in;
    for (size_t i = 0; type == AE_FILE_BF16 && i < n; i++) out[i] = from_bf16(words[i]);
    for (size_t i = 0; type == AE_FILE_F16 && i < n; i++) out[i] = ae_float_of_half(words[i]);
    for (size_t i = 0; type == AE_FILE_I8 && i < n; i++) out[i] = (float)(int8_t)bytes[i];
    for (size_t i = 0; type == AE_FILE_U8 && i < n; i++) out[i] = (float)bytes[i];
}

static ae_status read_narrow(const ae_safetensors *f, ae_file_dtype type, int64_t at, size_t n, float *out) {
    const size_t bytes = (size_t)element_bytes(type);
    void *piece = calloc(n < PIECE ? n + 1 : PIECE, bytes);
    if (piece == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", f->path);
    ae_status st = AE_OK;
    for (size_t done = 0; st == AE_OK && done < n; done += PIECE) {
        const size_t count = n - done < PIECE ? n - done : PIECE;
        st = read_bytes(f, at + (int64_t)(done * bytes), piece, count * bytes);
        if (st == AE_OK) widen(out + done, piece, count, type);
    }
    free(piece);
    return st;
}

ae_status ae_safetensors_read(const ae_safetensors *f, const ae_safetensor *t, int64_t first, int64_t n,
                              float *out) {
    const int64_t at = f->data_at + t->begin + first * element_bytes(t->dtype);
    if (t->dtype == AE_FILE_F32) return read_bytes(f, at, out, (size_t)n * sizeof *out);
    return read_narrow(f, t->dtype, at, (size_t)n, out);
}

ae_status ae_safetensors_check_data(const ae_safetensors *f) {
    unsigned char *piece = f->has_crc ? malloc(PIECE) : NULL;
    uLong crc = crc32_z(0, NULL, 0);
    ae_status st = AE_OK;
    if (!f->has_crc) return AE_OK;
    if (piece == NULL) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", f->path);
    for (int64_t at = 0; st == AE_OK && at < f->data_bytes; at += PIECE) {
        const size_t n = f->data_bytes - at < PIECE ? (size_t)(f->data_bytes - at) : PIECE;
        st = read_bytes(f, f->data_at + at, piece, n);
        if (st == AE_OK) crc = crc32_z(crc, piece, n);
    }
    free(piece);
    if (st != AE_OK || crc == f->crc) return st;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: data: expected CRC-32 %08" PRIx32
                   ", found %08lx: the file is damaged; copy or export it again",
                   f->path, f->crc, crc);
}
