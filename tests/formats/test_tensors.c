#include "core/h5.h"
#include "formats/safetensors.h"
#include "formats/tensors.h"
#include "tests/core/scratch.h"

#include <math.h>

TestSuite(tensors, .init = scratch_make, .fini = scratch_remove);

/* ---- files made here ---- */

typedef struct {
    unsigned char bytes[4096];
    size_t n;
} blob;

static blob safetensors(const char *header, const void *data, size_t n) {
    blob b = {.n = 8 + strlen(header) + n};
    const uint64_t length = strlen(header);
    for (int i = 0; i < 8; i++) b.bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(b.bytes + 8, header, length);
    if (n > 0) memcpy(b.bytes + 8 + length, data, n);
    return b;
}

static const char *write_blob(const blob *b, const char *name) {
    return scratch_write(name, b->bytes, b->n);
}

static void expect_refused(const blob *b, const char *says) {
    ae_tensors *t = NULL;
    cr_assert_eq(ae_tensors_open(&t, write_blob(b, "bad.safetensors")), AE_ERR_INPUT, "%s", says);
    cr_assert_null(t);
    cr_assert_message("bad.safetensors");
    cr_assert_message(says);
    cr_assert_null(strchr(ae_error_message(), '\n'));
}

static const float six[6] = {1, -2, 3.5f, 0, 1e-20f, -7};
static const char two_header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                                 "\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]}}  ";

Test(tensors, reads_a_file) {
    const blob b = safetensors(two_header, six, sizeof six);
    ae_tensors *t = NULL;
    float out[4];
    cr_assert_eq(ae_tensors_open(&t, write_blob(&b, "x.safetensors")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_count(t), 2);
    cr_assert_eq(ae_tensors_find(t, "c"), -1);
    cr_assert_str_eq(ae_tensors_name(t, ae_tensors_find(t, "b")), "b");
    cr_assert_eq(ae_tensors_read(t, "a", 2, (const int64_t[]){2, 2}, out), AE_OK);
    cr_assert_arr_eq(out, six, 16);
    cr_assert_eq(ae_tensors_read(t, "b", 1, (const int64_t[]){2}, out), AE_OK);
    cr_assert_arr_eq(out, six + 4, 8);
    cr_assert_eq(ae_tensors_read(t, "c", 1, (const int64_t[]){2}, out), AE_ERR_INPUT);
    cr_assert_message("c: expected this tensor");
    cr_assert_eq(ae_tensors_read(t, "a", 1, (const int64_t[]){4}, out), AE_ERR_INPUT);
    cr_assert_message("expected shape [4], found [2, 2]");
    cr_assert_eq(ae_tensors_read(t, "a", 2, (const int64_t[]){2, 3}, out), AE_ERR_INPUT);
    cr_assert_message("a: expected shape [2, 3]");
    ae_tensors_close(t);
}

Test(tensors, every_truncation_is_refused) {
    const blob whole = safetensors(two_header, six, sizeof six);
    for (size_t n = 0; n < whole.n; n++) {
        blob cut = whole;
        cut.n = n;
        expect_refused(&cut, "bad.safetensors");
    }
    blob longer = whole;
    longer.n += 1;
    expect_refused(&longer, "24 bytes of data");
}

Test(tensors, every_lying_length_is_refused) {
    const blob whole = safetensors(two_header, six, sizeof six);
    for (int byte = 0; byte < 8; byte++) {
        for (int value = 0; value < 256; value++) {
            blob b = whole;
            if (b.bytes[byte] == value) continue;
            b.bytes[byte] = (unsigned char)value;
            expect_refused(&b, "header");
        }
    }
}

/* Whatever byte of the header is damaged: refused, or read as another valid file, never a crash. */
Test(tensors, damaged_headers_never_crash) {
    const blob whole = safetensors(two_header, six, sizeof six);
    for (size_t at = 8; at < 8 + sizeof two_header - 1; at++) {
        for (int v = 0; v < 8; v++) {
            blob b = whole;
            b.bytes[at] = (unsigned char)"\0\xff\"{9-]e"[v];
            ae_tensors *t = NULL;
            const ae_status st = ae_tensors_open(&t, write_blob(&b, "d.safetensors"));
            cr_assert(st == AE_OK || st == AE_ERR_INPUT);
            ae_tensors_close(t);
        }
    }
}

Test(tensors, lies_are_refused_by_name) {
    static const struct {
        const char *header, *says;
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[3],\"data_offsets\":[0,24]}}",
         "a: dtype: expected F32, BF16, F16, I8 or U8"},
        {"{\"a\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]}}", "found I64"},
        {"{\"a\":{\"dtype\":7,\"shape\":[6],\"data_offsets\":[0,24]}}", "a: dtype"},
        {"{\"a\":{\"shape\":[6],\"data_offsets\":[0,24]}}", "a: dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,24]}}", "a: expected 5 elements"},
        {"{\"a\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,24]}}",
         "a: expected 6 elements of 2 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[7],\"data_offsets\":[0,28]}}", "a: ends at byte 28"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-6],\"data_offsets\":[0,24]}}", "a: shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6.0],\"data_offsets\":[0,24]}}", "a: shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":\"6\",\"data_offsets\":[0,24]}}", "a: shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,6],\"data_offsets\":[0,24]}}", "a: shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,24]}}",
         "a: shape: too big"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387906],\"data_offsets\":[0,8]}}", "a: expected"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,24]}}", "header"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[24,0]}}", "a: data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[-24,0]}}", "a: data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0]}}", "a: data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24,24]}}", "a: data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6]}}", "a: data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,\"24\"]}}", "a: data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]}}", "expected 20 bytes of data"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[4,24]}}", "a hole"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]}}",
         "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]}}",
         "a hole"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}",
         "header"},
        {"{\"a\":3}", "a: expected an object"},
        {"{\"\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}", "tensor names"},
        {"{\"a\\nb\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}", "control characters"},
        {"[1,2]", "header"},
        {"{} x", "header"},
        {"{}", "0 bytes of data"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const blob b = safetensors(cases[i].header, six, sizeof six);
        expect_refused(&b, cases[i].says);
    }
}

/* ---- types ---- */

Test(tensors, bfloat16_and_half) {
    static const uint16_t bf16[] = {0x3f80, 0xc049, 0x0001, 0x7f80, 0x7fc0, 0x8000};
    static const uint16_t f16[] = {0x3c00, 0xc248, 0x0001, 0x7c00, 0x7e00,
                                   0x8000, 0x83ff, 0x0400, 0x7bff, 0xfc00};
    unsigned char data[sizeof bf16 + sizeof f16];
    float out[10];
    memcpy(data, bf16, sizeof bf16);
    memcpy(data + sizeof bf16, f16, sizeof f16);
    const blob b = safetensors("{\"h\":{\"dtype\":\"F16\",\"shape\":[10],\"data_offsets\":[12,32]},"
                               "\"b\":{\"dtype\":\"BF16\",\"shape\":[3,2],\"data_offsets\":[0,12]}}",
                               data, sizeof data);
    ae_safetensors f;
    cr_assert_eq(ae_safetensors_open(&f, write_blob(&b, "x.safetensors")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_safetensors_read(&f, ae_safetensors_find(&f, "b"), 0, 6, out), AE_OK);
    cr_assert(out[0] == 1 && out[1] == -3.140625f && out[2] == 0x1p-133f && out[3] == INFINITY &&
              isnan(out[4]));
    cr_assert(out[5] == 0 && signbit(out[5]));
    cr_assert_eq(ae_safetensors_read(&f, ae_safetensors_find(&f, "h"), 0, 10, out), AE_OK);
    cr_assert(out[0] == 1 && out[1] == -3.140625f && out[2] == 0x1p-24f && out[3] == INFINITY &&
              isnan(out[4]));
    cr_assert(out[5] == 0 && signbit(out[5]) && out[6] == -1023 * 0x1p-24f && out[7] == 0x1p-14f);
    cr_assert(out[8] == 65504 && out[9] == -INFINITY);
    ae_safetensors_close(&f);
}

/* Every half against its own arithmetic, in one tensor that needs several pieces. */
Test(tensors, all_halves_and_many_pieces) {
    enum { N = 65536, TIMES = 9 };
    char header[128];
    snprintf(header, sizeof header, "{\"h\":{\"dtype\":\"F16\",\"shape\":[%d,%d],\"data_offsets\":[0,%d]}}",
             TIMES, N, TIMES * N * 2);
    const blob b = safetensors(header, NULL, 0);
    FILE *f = fopen(scratch_path("big.safetensors"), "wb");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(b.bytes, 1, b.n, f), b.n);
    for (int i = 0; i < TIMES * N; i++) {
        const uint16_t h = (uint16_t)i;
        cr_assert_eq(fwrite(&h, 2, 1, f), 1);
    }
    cr_assert_eq(fclose(f), 0);
    float *out = malloc((size_t)TIMES * N * sizeof *out);
    ae_safetensors t;
    cr_assert_eq(ae_safetensors_open(&t, scratch_path("big.safetensors")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_safetensors_read(&t, ae_safetensors_find(&t, "h"), 0, TIMES * N, out), AE_OK);
    for (int i = 0; i < TIMES * N; i++) {
        const int h = i % N, exponent = h >> 10 & 31, fraction = h & 1023;
        const double sign = h >> 15 ? -1 : 1;
        if (exponent == 31) {
            cr_assert(fraction != 0 ? isnan(out[i]) : isinf(out[i]));
            continue;
        }
        const double want =
            sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25));
        cr_assert((double)out[i] == want, "%x", (unsigned)h);
    }
    ae_safetensors_close(&t);
    free(out);
}

Test(tensors, comparing) {
    static const uint16_t bf16[] = {0x3f80, 0xc000, 0x4060, 0};
    unsigned char data[16 + 8 + 16 + 16];
    memcpy(data, six, 16);
    memcpy(data + 16, bf16, 8);
    memcpy(data + 24, six, 16);
    memcpy(data + 40, six + 1, 16);
    const blob b = safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
                               "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[16,24]},"
                               "\"c\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[24,40]},"
                               "\"d\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[40,56]}}",
                               data, sizeof data);
    ae_tensors *t = NULL;
    bool same = false;
    cr_assert_eq(ae_tensors_open(&t, write_blob(&b, "x.safetensors")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_same(t, "a", "b", &same), AE_OK);
    cr_assert(same);
    cr_assert_eq(ae_tensors_same(t, "a", "c", &same), AE_OK);
    cr_assert_not(same);
    cr_assert_eq(ae_tensors_same(t, "a", "d", &same), AE_OK);
    cr_assert_not(same);
    cr_assert_eq(ae_tensors_same(t, "a", "e", &same), AE_ERR_INPUT);
    ae_tensors_close(t);
}

/* ---- shards ---- */

static void write_text(const char *name, const char *text) {
    scratch_write(name, text, strlen(text));
}

static void write_shards(void) {
    const blob one =
        safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}", six, 24);
    const blob two = safetensors("{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                 "\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
                                 six, 12);
    write_blob(&one, "model-00001-of-00002.safetensors");
    write_blob(&two, "model-00002-of-00002.safetensors");
}

static const char good_index[] = "{\"metadata\":{\"total_size\":36},\"weight_map\":{"
                                 "\"a\":\"model-00001-of-00002.safetensors\","
                                 "\"b\":\"model-00002-of-00002.safetensors\","
                                 "\"c\":\"model-00002-of-00002.safetensors\"}}";

Test(tensors, shards) {
    ae_tensors *t = NULL;
    float out[6];
    write_shards();
    write_text("model.safetensors.index.json", good_index);
    cr_assert_eq(ae_tensors_open(&t, scratch_folder), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_count(t), 3);
    cr_assert_eq(ae_tensors_read(t, "a", 1, (const int64_t[]){6}, out), AE_OK);
    cr_assert_arr_eq(out, six, 24);
    cr_assert_eq(ae_tensors_read(t, "c", 1, (const int64_t[]){1}, out), AE_OK);
    cr_assert_float_eq(out[0], 3.5f, 0);
    ae_tensors_close(t);
}

Test(tensors, shards_that_lie) {
    static const struct {
        const char *index, *says;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"model-00002-of-00002.safetensors\"}}", "a: expected in model-00002"},
        {"{\"weight_map\":{\"z\":\"model-00001-of-00002.safetensors\"}}", "z: expected in model-00001"},
        {"{\"weight_map\":{\"a\":\"model-00003-of-00002.safetensors\"}}",
         "model.safetensors.index.json: weight_map: expected model-00003-of-00002.safetensors beside it, "
         "found nothing "
         "there; copy it too"},
        {"{\"weight_map\":{\"a\":\"../x.safetensors\"}}", "a: expected the name of a file"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "a: expected the name of a file"},
        {"{\"weight_map\":{\"a\":7}}", "a: expected the name of a file"},
        {"{\"weight_map\":{}}", "weight_map"},
        {"{\"weight_map\":[]}", "weight_map"},
        {"{}", "weight_map"},
        {"{\"weight_map\":", "JSON"},
    };
    write_shards();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_tensors *t = NULL;
        write_text("model.safetensors.index.json", cases[i].index);
        cr_assert_eq(ae_tensors_open(&t, scratch_folder), AE_ERR_INPUT, "%s", cases[i].index);
        cr_assert_message(cases[i].says);
    }
}

Test(tensors, the_index_of_shards) {
    json_t *files = NULL;
    char *path = NULL;
    write_shards();
    write_text("model.safetensors.index.json", good_index);
    const char *index = scratch_path("model.safetensors.index.json");
    cr_assert_eq(ae_shard_index_read(&files, index), AE_OK, "%s", ae_error_message());
    cr_assert_eq(json_object_size(files), 3);
    cr_assert_str_eq(json_string_value(json_object_get(files, "c")), "model-00002-of-00002.safetensors");
    json_decref(files);
    cr_assert_eq(ae_shard_find(&path, index, "model-00001-of-00002.safetensors"), AE_OK);
    cr_assert_str_eq(path, scratch_path("model-00001-of-00002.safetensors"));
    free(path);
    cr_assert_eq(ae_shard_find(&path, index, "gone.safetensors"), AE_ERR_INPUT);
    cr_assert_message("expected gone.safetensors beside it, found nothing there; copy it too");
    free(path);
    write_text("model.safetensors.index.json", "{\"weight_map\":{\"a\":\".hidden\"}}");
    cr_assert_eq(ae_shard_index_read(&files, index), AE_ERR_INPUT);
    cr_assert_null(files);
}

Test(tensors, what_is_hdf5) {
    write_text("by-name.h5", "anything");
    write_text("by-signature", "\211HDF\r\n\032\n and more");
    write_text("neither", "\211HDF\r\n\032");
    cr_assert(ae_file_is_h5(scratch_path("by-name.h5")));
    cr_assert(ae_file_is_h5(scratch_path("by-signature")));
    cr_assert_not(ae_file_is_h5(scratch_path("neither")));
    cr_assert_not(ae_file_is_h5(scratch_path("absent")));
}

Test(tensors, nothing_to_open) {
    ae_tensors *t = NULL;
    cr_assert_eq(ae_tensors_open(&t, scratch_folder), AE_ERR_INPUT);
    cr_assert_message("model.safetensors");
    cr_assert_eq(ae_tensors_open(&t, scratch_path("absent")), AE_ERR_INPUT);
    cr_assert_eq(ae_tensors_open(&t, scratch_path("absent.h5")), AE_ERR_INPUT);
    write_text("empty.h5", "");
    cr_assert_eq(ae_tensors_open(&t, scratch_path("empty.h5")), AE_ERR_INPUT);
    cr_assert_message("empty.h5");
}

/* ---- native files ---- */

static ae_status fetch(void *context, ptrdiff_t i, const float **values) {
    *values = context;
    return i < 2 ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "tensor %td went wrong", i);
}

Test(tensors, native_files_come_back) {
    static const char *const names[] = {"model.a.weight", "model.b"};
    static const int ranks[] = {3, 1};
    static const int64_t shapes[][3] = {{3, 1, 2}, {6, 0, 0}};
    const char *path = scratch_path("weights.h5");
    ae_tensors *t = NULL;
    float values[6], out[6];
    memcpy(values, six, sizeof six);
    cr_assert_eq(ae_tensors_write_h5(path, 2, names, ranks, shapes, fetch, values), AE_OK, "%s",
                 ae_error_message());
    cr_assert_eq(ae_tensors_open(&t, path), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_count(t), 2);
    cr_assert_neq(ae_tensors_find(t, "model.a.weight"), -1);
    cr_assert_eq(ae_tensors_read(t, "model.a.weight", 3, shapes[0], out), AE_OK, "%s", ae_error_message());
    cr_assert_arr_eq(out, six, sizeof six);
    cr_assert_eq(ae_tensors_read(t, "model.b", 1, shapes[1], out), AE_OK);
    cr_assert_arr_eq(out, six, sizeof six);
    cr_assert_eq(ae_tensors_read(t, "model.b", 1, (const int64_t[]){5}, out), AE_ERR_INPUT);
    cr_assert_message("model.b: expected shape [5]");
    cr_assert_eq(ae_tensors_read(t, "model.c", 1, shapes[1], out), AE_ERR_INPUT);
    cr_assert_message("model.c");
    ae_tensors_close(t);
}

Test(tensors, a_failed_write_leaves_nothing) {
    static const char *const names[] = {"a", "b", "c"};
    static const int ranks[] = {1, 1, 1};
    static const int64_t shapes[][3] = {{6}, {6}, {6}};
    const char *path = scratch_path("weights.h5");
    float values[6];
    memcpy(values, six, sizeof six);
    cr_assert_eq(ae_tensors_write_h5(path, 3, names, ranks, shapes, fetch, values), AE_ERR_RESOURCE);
    cr_assert_message("tensor 2");
    cr_assert_not(ae_path_exists(path));
    cr_assert_neq(
        ae_tensors_write_h5(scratch_path("absent/weights.h5"), 2, names, ranks, shapes, fetch, values),
        AE_OK);
}

Test(tensors, damaged_native_files_are_refused) {
    static const char *const names[] = {"a", "b"};
    static const int ranks[] = {1, 1};
    static const int64_t shapes[][3] = {{6}, {6}};
    float values[6];
    char *bytes = NULL;
    size_t n = 0;
    memcpy(values, six, sizeof six);
    cr_assert_eq(ae_tensors_write_h5(scratch_path("w.h5"), 2, names, ranks, shapes, fetch, values), AE_OK);
    cr_assert_eq(ae_file_read(scratch_path("w.h5"), &bytes, &n), AE_OK);
    for (size_t cut = 0; cut < n; cut += 97) {
        ae_tensors *t = NULL;
        cr_assert_eq(ae_tensors_open(&t, scratch_write("cut.h5", bytes, cut)), AE_ERR_INPUT, "%zu", cut);
        cr_assert_null(t);
    }
    free(bytes);
}

/* ---- names of others ---- */

/* A set of 2 x 1 tensors with these names, opened. */
static ae_status open_names(ae_tensors **t, const char *const *names, int n) {
    char header[2048] = "{";
    for (int i = 0; i < n; i++) {
        const size_t used = strlen(header);
        snprintf(header + used, sizeof header - used,
                 "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[%d,%d]}", i ? "," : "",
                 names[i], 8 * i, 8 * i + 8);
    }
    strcat(header, "}");
    float data[16] = {0};
    for (int i = 0; i < 16; i++) data[i] = (float)i;
    const blob b = safetensors(header, data, (size_t)n * 8);
    return ae_tensors_open(t, write_blob(&b, "names.safetensors"));
}

/* The names that a set of two has afterwards; the second keeps its values. */
static void expect_names(const char *first, const char *second, const char *want_first,
                         const char *want_second) {
    ae_tensors *t = NULL;
    float x[2];
    cr_assert_eq(open_names(&t, (const char *const[]){first, second}, 2), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_count(t), 2);
    cr_assert(ae_tensors_find(t, want_first) >= 0, "%s", want_first);
    cr_assert_eq(ae_tensors_read(t, want_second, 1, (const int64_t[]){2}, x), AE_OK, "%s",
                 ae_error_message());
    cr_assert(x[0] == 2 && x[1] == 3);
    ae_tensors_close(t);
}

#define TABLE "model.embed_tokens.weight"
#define NORM  "model.final_norm.weight"

Test(tensors, what_wrappers_put_before_all_names_is_taken_away) {
    expect_names(TABLE, NORM, TABLE, NORM);
    expect_names("_orig_mod." TABLE, "_orig_mod." NORM, TABLE, NORM);
    expect_names("module." TABLE, "module." NORM, TABLE, NORM);
    expect_names("_orig_mod.module." TABLE, "_orig_mod.module." NORM, TABLE, NORM);
    expect_names("base_model.model." TABLE, "base_model.model." NORM, TABLE, NORM);
    expect_names("module." TABLE, NORM, "module." TABLE, NORM); /* not all: something else */
}

Test(tensors, a_model_without_its_head_has_shorter_names) {
    expect_names("embed_tokens.weight", "final_norm.weight", TABLE, NORM);
    expect_names("lm_head.weight", "embed_tokens.weight", "lm_head.weight", TABLE);
}

Test(tensors, a_tensor_under_its_short_and_its_long_name_is_refused) {
    static const char *const names[][3] = {{"embed_tokens.weight", "final_norm.weight", TABLE},
                                           {TABLE, "embed_tokens.weight", "final_norm.weight"},
                                           {"embed_tokens.weight", NORM, "final_norm.weight"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ae_tensors *t = NULL;
        cr_assert_eq(open_names(&t, names[i], 3), AE_ERR_INPUT, "%zu", i);
        cr_assert_message("expected this tensor once, found it with and without 'model.'");
        cr_assert_null(t);
    }
}

Test(tensors, a_table_may_stand_under_the_name_of_the_head) {
    expect_names("lm_head.weight", NORM, TABLE, NORM);
    expect_names("_orig_mod.lm_head.weight", "_orig_mod." NORM, TABLE, NORM);
}

Test(tensors, buffers_go_and_adapters_are_named) {
    ae_tensors *t = NULL;
    const char *const buffer[] = {TABLE, "model.layers.2.temporal_block.rotary_emb.inv_freq"};
    cr_assert_eq(open_names(&t, buffer, 2), AE_OK);
    cr_assert_eq(ae_tensors_count(t), 1);
    ae_tensors_close(t);
    const char *const adapter[] = {"base_model.model.model.layers.0.mlp_block.up_proj.lora_A.weight"};
    cr_assert_eq(open_names(&t, adapter, 1), AE_ERR_INPUT);
    cr_assert_message("--adapter");
}

/* ---- what is no number ---- */

static void expect_no_number(const char *type, const void *bytes, size_t size, const char *says) {
    char header[256];
    unsigned char data[64] = {0};
    ae_tensors *t = NULL;
    float out[6];
    memcpy(data + 4 * size, bytes, size);
    snprintf(header, sizeof header, "{\"a\":{\"dtype\":\"%s\",\"shape\":[6],\"data_offsets\":[0,%zu]}}", type,
             6 * size);
    const blob b = safetensors(header, data, 6 * size);
    cr_assert_eq(ae_tensors_open(&t, write_blob(&b, "nan.safetensors")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_read(t, "a", 1, (const int64_t[]){6}, out), AE_ERR_INPUT);
    cr_assert_message(says);
    cr_assert_eq(ae_tensors_read_part(t, "a", 1, (const int64_t[]){6}, 3, 2, out), AE_ERR_INPUT);
    cr_assert_message(says);
    cr_assert_eq(ae_tensors_read_part(t, "a", 1, (const int64_t[]){6}, 0, 4, out), AE_OK);
    ae_tensors_close(t);
}

Test(tensors, values_that_are_no_numbers_are_refused_by_their_place) {
    expect_no_number("F32", &(const float){NAN}, 4, "a: expected numbers, found NaN at element 4");
    expect_no_number("F32", &(const float){-INFINITY}, 4, "a: expected numbers, found infinity at element 4");
    expect_no_number("BF16", &(const uint16_t){0x7fc0}, 2, "found NaN at element 4");
    expect_no_number("F16", &(const uint16_t){0x7c00}, 2, "found infinity at element 4");
}
