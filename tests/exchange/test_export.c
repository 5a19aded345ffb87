#include "exchange/export.h"
#include "exchange/hf_config.h"
#include "exchange/source.h"
#include "formats/tensors.h"
#include "model/params.h"
#include "ops/quantize.h"
#include "tests/core/scratch.h"

#include <jansson.h>
#include <math.h>

TestSuite(export, .init = scratch_make, .fini = scratch_remove);

static const char *const fixtures[] = {"tiny", "window", "hawk", "attention", "gemma"};

static const char *fixture(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", AERIE_FIXTURES, name);
    return path;
}

static ae_model_config config_of(const char *name) {
    ae_model_source s;
    cr_assert_eq(ae_model_source_open(&s, fixture(name)), AE_OK, "%s", ae_error_message());
    const ae_model_config c = s.config;
    ae_model_source_free(&s);
    return c;
}

/* Folder of a fixture's weights, and its config.json. */
static void write_folder(const char *name, const char *folder, ae_weight_type type, int64_t shard_bytes) {
    const ae_model_config c = config_of(name);
    const ae_export_request r = {
        .config = &c, .bf16 = type == AE_WEIGHT_BF16, .tensors = fixture(name), .shard_bytes = shard_bytes};
    char *text = NULL, path[128];
    cr_assert_eq(ae_folder_make(scratch_path(folder)), AE_OK);
    cr_assert_eq(ae_model_export(scratch_path(folder), &r), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_model_config_to_hf(&c, type, 0, &text), AE_OK);
    snprintf(path, sizeof path, "%s/config.json", folder);
    scratch_write(path, text, strlen(text));
    free(text);
}

static float *values(ae_tensors *t, const ae_param *p) {
    float *x = malloc((size_t)p->n * sizeof *x);
    cr_assert_eq(ae_tensors_read(t, p->name, p->rank, p->shape, x), AE_OK, "%s", ae_error_message());
    return x;
}

static void round_all(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        ae_round_to_bf16(&half, &x[i], 1);
        const uint32_t bits = (uint32_t)half << 16;
        memcpy(&x[i], &bits, sizeof bits);
    }
}

static void expect_same_shape(const ae_model_config *a, const ae_model_config *b) {
    char *x = NULL, *y = NULL;
    cr_assert_eq(ae_model_config_to_json(a, &x), AE_OK);
    cr_assert_eq(ae_model_config_to_json(b, &y), AE_OK);
    cr_assert_str_eq(x, y);
    free(x);
    free(y);
}

/* The folder's shape and values are the fixture's, rounded where its type is. */
static void expect_same(const char *name, const char *folder, ae_weight_type type) {
    const ae_model_config c = config_of(name);
    ae_model_source s;
    ae_params p;
    ae_tensors *was, *is;
    cr_assert_eq(ae_model_source_open(&s, scratch_path(folder)), AE_OK, "%s", ae_error_message());
    expect_same_shape(&s.config, &c);
    cr_assert_eq(ae_params_init(&p, &c), AE_OK);
    cr_assert_eq(ae_tensors_open(&was, fixture(name)), AE_OK);
    cr_assert_eq(ae_tensors_open(&is, s.tensors), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_count(is), p.n);
    for (ptrdiff_t i = 0; i < p.n; i++) {
        float *x = values(was, &p.items[i]), *y = values(is, &p.items[i]);
        if (type == AE_WEIGHT_BF16) round_all(x, p.items[i].n);
        cr_assert_eq(memcmp(x, y, (size_t)p.items[i].n * sizeof *x), 0, "%s", p.items[i].name);
        free(x);
        free(y);
    }
    ae_tensors_close(is);
    ae_tensors_close(was);
    ae_params_free(&p);
    ae_model_source_free(&s);
}

Test(export, one_file_and_shards_keep_the_bits) {
    for (size_t f = 0; f < 5; f++) {
        char folder[64];
        snprintf(folder, sizeof folder, "%s-one", fixtures[f]);
        write_folder(fixtures[f], folder, AE_WEIGHT_F32, 0);
        expect_same(fixtures[f], folder, AE_WEIGHT_F32);
        snprintf(folder, sizeof folder, "%s-many", fixtures[f]);
        write_folder(fixtures[f], folder, AE_WEIGHT_F32, 20000);
        expect_same(fixtures[f], folder, AE_WEIGHT_F32);
        snprintf(folder, sizeof folder, "%s-each", fixtures[f]);
        write_folder(fixtures[f], folder, AE_WEIGHT_F32, 1);
        expect_same(fixtures[f], folder, AE_WEIGHT_F32);
    }
    cr_assert(ae_path_exists(scratch_path("tiny-one/model.safetensors")));
    cr_assert_not(ae_path_exists(scratch_path("tiny-one/model.safetensors.index.json")));
    cr_assert_not(ae_path_exists(scratch_path("tiny-many/model.safetensors")));
}

/* Every file holds no more than asked for, and their tensors add up to what the index says. */
Test(export, shards_are_bounded) {
    write_folder("tiny", "many", AE_WEIGHT_F32, 20000);
    json_t *index = json_load_file(scratch_path("many/model.safetensors.index.json"), 0, NULL), *file;
    const json_t *map = json_object_get(index, "weight_map");
    const char *name;
    int64_t sum = 0;
    cr_assert_not_null(map);
    json_object_foreach(json_object_get(index, "weight_map"), name, file) {
        char path[128];
        snprintf(path, sizeof path, "many/%s", json_string_value(file));
        cr_assert_lt(ae_file_size(scratch_path(path)), 20000 + 4096, "%s", path);
    }
    for (int i = 1; i < 100; i++) {
        char path[128];
        for (int n = i; n < 100; n++) {
            snprintf(path, sizeof path, "many/model-%05d-of-%05d.safetensors", i, n);
            if (ae_path_exists(scratch_path(path))) sum++;
        }
    }
    cr_assert_gt(sum, 10);
    ae_params p;
    const ae_model_config c = config_of("tiny");
    cr_assert_eq(ae_params_init(&p, &c), AE_OK);
    cr_assert_eq(json_integer_value(json_object_get(json_object_get(index, "metadata"), "total_size")),
                 4 * p.total);
    cr_assert_eq((ptrdiff_t)json_object_size(map), p.n);
    ae_params_free(&p);
    json_decref(index);
}

Test(export, bf16_is_rounded_once) {
    write_folder("tiny", "half", AE_WEIGHT_BF16, 0);
    expect_same("tiny", "half", AE_WEIGHT_BF16);
    const int64_t f32 = ae_file_size(fixture("tiny/model.safetensors"));
    cr_assert_lt(ae_file_size(scratch_path("half/model.safetensors")), f32 * 6 / 10);
}

/* One number of the final norm becomes *context. */
static ae_status put_number(void *context, const ae_param *p, int64_t first, int64_t n, float *values) {
    const float *x = context;
    (void)n;
    if (strcmp(p->name, "model.final_norm.weight") == 0 && first == 0) values[3] = *x;
    return AE_OK;
}

Test(export, f16_holds_no_more_than_65504) {
    const ae_model_config c = config_of("tiny");
    float x = -65504;
    const ae_model_amendment amendment = {put_number, &x};
    const ae_export_request r = {
        .config = &c, .f16 = true, .tensors = fixture("tiny"), .amendment = &amendment};
    cr_assert_eq(ae_folder_make(scratch_path("f16")), AE_OK);
    cr_assert_eq(ae_model_export(scratch_path("f16"), &r), AE_OK, "%s", ae_error_message());
    x = -65505;
    cr_assert_eq(ae_model_export(scratch_path("f16"), &r), AE_ERR_INPUT);
    cr_assert_message("model.final_norm.weight: expected numbers of at most 65504 in magnitude");
    x = NAN;
    cr_assert_eq(ae_model_export(scratch_path("f16"), &r), AE_ERR_INPUT);
}

/* A folder whose byte `at` behind `mark`, or with NULL from the end, is another. */
static void write_changed(const char *mark, size_t at, char flip) {
    char *bytes = NULL, path[512];
    size_t n = 0;
    write_folder("tiny", "one", AE_WEIGHT_F32, 0);
    snprintf(path, sizeof path, "%s/one/model.safetensors", scratch_folder);
    cr_assert_eq(ae_file_read(path, &bytes, &n), AE_OK, "%s", ae_error_message());
    char *from = mark ? memmem(bytes, n, mark, strlen(mark)) : bytes + n;
    cr_assert_not_null(from);
    *(mark ? from + at : from - at) ^= flip;
    cr_assert_eq(ae_file_write(path, bytes, n), AE_OK);
    free(bytes);
}

/* A bit of the data that has turned over changes no size and no header. */
Test(export, a_flipped_bit_of_the_data_is_seen) {
    ae_tensors *t;
    bool covered = false;
    write_folder("tiny", "sums", AE_WEIGHT_F32, 20000);
    cr_assert_eq(ae_tensors_open(&t, scratch_path("sums")), AE_OK);
    cr_assert_eq(ae_tensors_check_data(t, &covered), AE_OK, "%s", ae_error_message());
    cr_assert(covered);
    ae_tensors_close(t);

    write_changed(NULL, 3, 4);
    cr_assert_eq(ae_tensors_open(&t, scratch_path("one")), AE_OK);
    cr_assert_eq(ae_tensors_check_data(t, &covered), AE_ERR_INPUT);
    cr_assert_message("one/model.safetensors: data: expected CRC-32");
    ae_tensors_close(t);
}

/* Digits of another form are somebody else's. */
Test(export, a_checksum_has_eight_digits) {
    ae_tensors *t;
    bool covered = true;
    write_changed("aerie_data_crc32\":\"", 19, 0x40);
    cr_assert_eq(ae_tensors_open(&t, scratch_path("one")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_check_data(t, &covered), AE_OK, "%s", ae_error_message());
    cr_assert_not(covered);
    ae_tensors_close(t);
}

Test(export, files_of_others_have_no_checksum) {
    ae_tensors *t;
    bool covered = true;
    cr_assert_eq(ae_tensors_open(&t, fixture("tiny")), AE_OK);
    cr_assert_eq(ae_tensors_check_data(t, &covered), AE_OK, "%s", ae_error_message());
    cr_assert_not(covered);
    ae_tensors_close(t);
}

Test(export, what_transformers_cannot_say_is_refused) {
    ae_model_config c = config_of("tiny");
    char *text = NULL;
    c.W = -1;
    cr_assert_eq(ae_model_config_to_hf(&c, AE_WEIGHT_F32, 0, &text), AE_ERR_INPUT);
    cr_assert_message("model.window");
    c = config_of("tiny");
    c.soft_cap = 0;
    cr_assert_eq(ae_model_config_to_hf(&c, AE_WEIGHT_F32, 0, &text), AE_ERR_INPUT);
    cr_assert_message("model.soft_cap");
    c = config_of("tiny");
    c.scale_embeddings = false;
    cr_assert_eq(ae_model_config_to_hf(&c, AE_WEIGHT_F32, 0, &text), AE_ERR_INPUT);
    cr_assert_message("model.scale_embeddings");
}

/* A configuration that does not belong to the weights, and a caller that gives up: nothing half-written stays. */
static ae_status give_up(void *context, int64_t done, int64_t all) {
    cr_assert_lt(done, all);
    *(int64_t *)context = done;
    return AE_FAIL(AE_ERR_INTERRUPTED, "enough");
}

Test(export, failures_leave_no_file) {
    ae_model_config c = config_of("tiny");
    int64_t done = 0;
    ae_export_request r = {.config = &c, .tensors = fixture("tiny"), .watch = {give_up, &done}};
    cr_assert_eq(ae_folder_make(scratch_path("gone")), AE_OK);
    cr_assert_eq(ae_model_export(scratch_path("gone"), &r), AE_ERR_INTERRUPTED);
    cr_assert_gt(done, 0);
    cr_assert_not(ae_path_exists(scratch_path("gone/model.safetensors")));
    cr_assert_not(ae_path_exists(scratch_path("gone/model.safetensors.part")));
    r.watch.ask = NULL;
    c.blocks--;
    cr_assert_eq(ae_model_export(scratch_path("gone"), &r), AE_ERR_INPUT);
    cr_assert_message("no place for");
    c.blocks += 2;
    cr_assert_eq(ae_model_export(scratch_path("gone"), &r), AE_ERR_INPUT);
    cr_assert_message("expected this tensor");
}
