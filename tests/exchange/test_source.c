#include "exchange/source.h"
#include "formats/done.h"
#include "formats/tensors.h"
#include "tests/core/scratch.h"
#include "tests/model/rig.h"

TestSuite(source, .init = scratch_make, .fini = scratch_remove);

static void write_text(const char *name, const char *text) {
    scratch_write(name, text, strlen(text));
}

static void make_folder(const char *name) {
    cr_assert_eq(ae_folder_make(scratch_path(name)), AE_OK);
}

static void refused(const char *path, const char *says) {
    ae_model_source s;
    cr_assert_eq(ae_model_source_open(&s, path), AE_ERR_INPUT, "%s", path);
    cr_assert_message(says);
    cr_assert_null(s.folder);
}

/* A complete checkpoint of a model, without DONE. */
static void write_checkpoint(const ae_model *m, const char *folder) {
    char name[128], *text = NULL;
    make_folder(folder);
    snprintf(name, sizeof name, "%s/weights.h5", folder);
    cr_assert_eq(ae_model_save(m, scratch_path(name)), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_model_config_to_json(&m->config, &text), AE_OK);
    snprintf(name, sizeof name, "%s/model.json", folder);
    write_text(name, text);
    free(text);
}

/* DONE of what is there. */
static void finish_checkpoint(const char *folder, bool tokenizer) {
    static const char *const names[] = {"weights.h5", "model.json", "tokenizer.model"};
    cr_assert_eq(ae_done_write(scratch_path(folder), names, tokenizer ? 3 : 2), AE_OK, "%s",
                 ae_error_message());
}

static void expect_same_values(const ae_model *a, const ae_model *b) {
    cr_assert_eq(a->params.n, b->params.n);
    for (ptrdiff_t i = 0; i < a->params.n; i++) {
        const ae_param *p = &a->params.items[i], *q = ae_params_find(&b->params, p->name);
        const size_t bytes = (size_t)p->n * sizeof(float);
        float *x = malloc(bytes), *y = malloc(bytes);
        a->be->download(a->be, x, p->value, bytes);
        b->be->download(b->be, y, q->value, bytes);
        cr_assert_eq(memcmp(x, y, bytes), 0, "%s", p->name);
        free(x);
        free(y);
    }
}

Test(source, hugging_face_folder) {
    char path[512];
    ae_model_source s;
    snprintf(path, sizeof path, "%s/tiny/", AERIE_FIXTURES);
    cr_assert_eq(ae_model_source_open(&s, path), AE_OK, "%s", ae_error_message());
    cr_assert_eq(s.kind, AE_SOURCE_HF);
    cr_assert_eq(s.config.V, 64);
    cr_assert_null(s.tokenizer);
    ae_tensors *t = NULL;
    cr_assert_eq(ae_tensors_open(&t, s.tensors), AE_OK);
    ae_tensors_close(t);
    ae_model_source_free(&s);
}

Test(source, checkpoints) {
    const ae_backend *be = rig_backend(RIG_STRICT, 1);
    ae_model m, back;
    ae_model_source s;
    rig_model(&m, be, "tiny", false);
    write_checkpoint(&m, "step-000009");
    refused(scratch_path("step-000009"), "DONE");
    write_text("step-000009/tokenizer.model", "pieces");
    finish_checkpoint("step-000009", true);
    cr_assert_eq(ae_model_source_open(&s, scratch_path("step-000009/")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(s.kind, AE_SOURCE_CHECKPOINT);
    cr_assert_not_null(strstr(s.tokenizer, "step-000009/tokenizer.model"));
    ae_model_source_free(&s);
    cr_assert_eq(ae_model_open(&back, be, scratch_path("step-000009"), &(ae_model_options){.training = true}),
                 AE_OK, "%s", ae_error_message());
    expect_same_values(&m, &back);
    cr_assert_eq(back.config.W, 8);
    ae_model_free(&back);
    ae_model_free(&m);
}

Test(source, no_model_at_all) {
    ae_model_source s;
    refused(scratch_path("absent"), "nothing there");
    write_text("file", "x");
    refused(scratch_path("file"), "found a file");
    make_folder("empty");
    refused(scratch_path("empty"), "found none of them");
    make_folder("step-000004");
    cr_assert_eq(ae_model_source_open_checkpoint(&s, scratch_path("step-000004")), AE_ERR_INPUT);
    cr_assert_message("DONE");
    write_text("step-000004/DONE", "{}");
    refused(scratch_path("step-000004"), "model.json");
    write_text("step-000004/model.json", "{\"vocab\": 3}");
    write_text("step-000004/weights.h5", "none");
    finish_checkpoint("step-000004", false);
    refused(scratch_path("step-000004"), "width");
}

/* What people give where a model is wanted. */
Test(source, strangers_are_named) {
    make_folder("adapter");
    write_text("adapter/adapter_config.json", "{}");
    write_text("adapter/adapter_model.safetensors", "");
    refused(scratch_path("adapter"), "found an adapter of PEFT (adapter_config.json); give it beside");
    make_folder("pickled");
    write_text("pickled/pytorch_model-00001-of-00002.bin", "");
    refused(scratch_path("pickled"),
            "found weights as PyTorch pickles them (pytorch_model-00001-of-00002.bin)");
    write_text("model.gguf", "GGUF\3");
    refused(scratch_path("model.gguf"), "found a GGUF file of llama.cpp");
    write_text("plain.txt", "text");
    refused(scratch_path("plain.txt"), "found a file");
    make_folder("cache/snapshots/0123abc");
    write_text("cache/snapshots/0123abc/config.json", "{}");
    refused(scratch_path("cache"), "cache/snapshots/0123abc?");
    make_folder("above/model");
    write_text("above/model/config.json", "{}");
    refused(scratch_path("above"), "did you mean");
    make_folder("above/other");
    write_text("above/other/config.json", "{}");
    refused(scratch_path("above"), "found none of them");
    make_folder("sets");
    write_text("sets/train.h5", "");
    refused(scratch_path("sets"), "found a folder of token sets (train.h5)");
}

/* ---- what DONE says ---- */

static void with_done(const char *text, const char *says) {
    write_text("step-000001/DONE", text);
    refused(scratch_path("step-000001"), says);
}

static void flip(const char *name, size_t at) {
    char *bytes = NULL;
    size_t n = 0;
    cr_assert_eq(ae_file_read(scratch_path(name), &bytes, &n), AE_OK);
    bytes[at < n ? at : n - 1] ^= 4;
    scratch_write(name, bytes, n);
    free(bytes);
}

/* Damage that leaves a file its size is seen before anything is made of it. */
Test(source, files_are_those_of_done) {
    const ae_backend *be = rig_backend(RIG_CPU_BEST, 1);
    const char *step = "step-000001";
    ae_model m, back;
    ae_model_source s;
    rig_model(&m, be, "tiny", false);
    write_checkpoint(&m, step);
    write_text("step-000001/tokenizer.model", "pieces");
    finish_checkpoint(step, false);
    refused(scratch_path(step), "DONE: tokenizer.model: expected its CRC-32 and size, found none");
    finish_checkpoint(step, true);
    flip("step-000001/tokenizer.model", 3);
    refused(scratch_path(step), "tokenizer.model: expected CRC-32");
    write_text("step-000001/tokenizer.model", "pieces");
    flip("step-000001/model.json", 12);
    refused(scratch_path(step), "model.json: expected CRC-32");
    flip("step-000001/model.json", 12);
    flip("step-000001/weights.h5", SIZE_MAX);
    cr_assert_eq(ae_model_source_open(&s, scratch_path(step)), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_model_source_verify(&s), AE_ERR_INPUT);
    cr_assert_message("weights.h5: expected CRC-32");
    ae_model_source_free(&s);
    cr_assert_eq(ae_model_open(&back, be, scratch_path(step), &(ae_model_options){0}), AE_ERR_INPUT);
    flip("step-000001/weights.h5", SIZE_MAX);
    cr_assert_eq(ae_model_open(&back, be, scratch_path(step), &(ae_model_options){0}), AE_OK, "%s",
                 ae_error_message());
    ae_model_free(&back);
    ae_model_free(&m);
}

Test(source, done_is_strict) {
    make_folder("step-000001");
    write_text("step-000001/weights.h5", "none");
    with_done("", "expected JSON");
    with_done("[]", "expected a JSON object");
    with_done("{\"../weights.h5\": {\"crc32\": 1, \"bytes\": 4}}",
              "names of files beside it, found '../weights.h5'");
    with_done("{\"/weights.h5\": {\"crc32\": 1, \"bytes\": 4}}", "names of files beside it");
    with_done("{\"weights.h5\": {\"crc32\": 4294967296, \"bytes\": 4}}",
              "weights.h5: crc32: expected 0 to 4294967295");
    with_done("{\"weights.h5\": {\"crc32\": -1, \"bytes\": 4}}", "found -1");
    with_done("{\"weights.h5\": {\"crc32\": 1, \"bytes\": -4}}", "weights.h5: bytes: expected 0 to");
    with_done("{\"weights.h5\": {\"crc32\": 1.0, \"bytes\": 4}}",
              "weights.h5: crc32: expected a whole number");
    with_done("{\"weights.h5\": {\"bytes\": 4}}",
              "weights.h5: crc32: expected a whole number, found no such key");
    with_done("{\"weights.h5\": {\"crc32\": 1, \"bytes\": 4, \"bytes\": 5}}",
              "duplicate object key near '\"bytes\"'");
    with_done("{\"weights.h5\": {\"crc32\": 1, \"bytes\": 4}}", "model.json: expected its CRC-32 and size");
}

/* ---- weights that do not belong to the configuration ---- */

static void copy_file(const char *from, const char *to) {
    char *bytes = NULL;
    size_t n = 0;
    cr_assert_eq(ae_file_read(from, &bytes, &n), AE_OK);
    scratch_write(to, bytes, n);
    free(bytes);
}

/* The tiny checkpoint with `from` in config.json replaced. */
static ae_status open_changed(const char *from, const char *to) {
    char text[2048], *config = NULL;
    size_t n = 0;
    ae_model m;
    copy_file(AERIE_FIXTURES "/tiny/model.safetensors", "model.safetensors");
    cr_assert_eq(ae_file_read(AERIE_FIXTURES "/tiny/config.json", &config, &n), AE_OK);
    const char *at = strstr(config, from);
    cr_assert_not_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - config), config, to, at + strlen(from));
    write_text("config.json", text);
    free(config);
    const ae_status st =
        ae_model_open(&m, rig_backend(RIG_CPU_BEST, 1), scratch_folder, &(ae_model_options){0});
    if (st == AE_OK) ae_model_free(&m);
    return st;
}

Test(source, weights_must_fit) {
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"num_hidden_layers\": 5", "\"num_hidden_layers\": 6", "model.layers.5.temporal_pre_norm.weight"},
        {"\"num_hidden_layers\": 5", "\"num_hidden_layers\": 4", "no place for"},
        {"\"vocab_size\": 64", "\"vocab_size\": 65",
         "model.embed_tokens.weight: expected shape [65, 32], found [64, 32]"},
        {"\"lru_width\": 48", "\"lru_width\": 40", "expected shape [40, 32], found [48, 32]"},
        {"\"intermediate_size\": 192", "\"intermediate_size\": 190",
         "expected shape [95, 32], found [96, 32]"},
        {"\"conv1d_width\": 4", "\"conv1d_width\": 3", "conv_1d.weight: expected shape [48, 1, 3]"},
        {"\"head_dim\": 8", "\"head_dim\": 16", "q_proj.weight: expected shape [64, 32]"},
    };
    cr_assert_eq(open_changed("\"vocab_size\": 64", "\"vocab_size\": 64"), AE_OK, "%s", ae_error_message());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(open_changed(cases[i].from, cases[i].to), AE_ERR_INPUT, "%s", cases[i].to);
        cr_assert_message(cases[i].says);
    }
}

/* The tiny checkpoint with lm_head.weight added behind: a copy of the table, or one number off. */
static ae_status open_with_head(bool equal) {
    const char *path = AERIE_FIXTURES "/tiny/model.safetensors";
    enum { HEAD_BYTES = 64 * 32 * 4 };
    char *bytes = NULL;
    size_t n = 0;
    float table[64 * 32];
    ae_tensors *t = NULL;
    cr_assert_eq(ae_tensors_open(&t, path), AE_OK);
    cr_assert_eq(ae_tensors_read(t, "model.embed_tokens.weight", 2, (const int64_t[]){64, 32}, table), AE_OK);
    ae_tensors_close(t);
    if (!equal) table[77] += 1;
    cr_assert_eq(ae_file_read(path, &bytes, &n), AE_OK);
    uint64_t length;
    memcpy(&length, bytes, 8);
    const size_t data = n - 8 - length;
    char *header = malloc(length + 256);
    const int grown =
        snprintf(header, length + 256,
                 "{\"lm_head.weight\":{\"dtype\":\"F32\",\"shape\":[64,32],\"data_offsets\":[%zu,%zu]},%.*s",
                 data, data + HEAD_BYTES, (int)length - 1, bytes + 9);
    char *out = malloc(8 + (size_t)grown + data + HEAD_BYTES);
    const uint64_t new_length = (uint64_t)grown;
    memcpy(out, &new_length, 8);
    memcpy(out + 8, header, (size_t)grown);
    memcpy(out + 8 + grown, bytes + 8 + length, data);
    memcpy(out + 8 + (size_t)grown + data, table, HEAD_BYTES);
    scratch_write("model.safetensors", out, 8 + (size_t)grown + data + HEAD_BYTES);
    copy_file(AERIE_FIXTURES "/tiny/config.json", "config.json");
    free(out);
    free(header);
    free(bytes);
    ae_model m;
    const ae_status st =
        ae_model_open(&m, rig_backend(RIG_CPU_BEST, 1), scratch_folder, &(ae_model_options){0});
    if (st == AE_OK) ae_model_free(&m);
    return st;
}

Test(source, a_head_of_its_own_is_refused) {
    cr_assert_eq(open_with_head(true), AE_OK, "%s", ae_error_message());
    cr_assert_eq(open_with_head(false), AE_ERR_INPUT);
    cr_assert_message("lm_head.weight");
}
