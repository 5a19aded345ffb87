#include "core/json.h"
#include "core/rng.h"
#include "exchange/adapter_merge.h"
#include "exchange/peft_write.h"
#include "formats/done.h"
#include "formats/safetensors_write.h"
#include "model/copy.h"
#include "tests/core/scratch.h"
#include "tests/model/rig.h"

TestSuite(adapter, .init = scratch_make, .fini = scratch_remove);

enum { RANK = 3, SEED = 7 };
static const char *const projections[] = {"*.q_proj.weight", "*.linear_x.weight", "*.down_proj.weight", NULL};
static const char *const trained[] = {"*.lora_?.weight", "*.recurrent_param", "model.layers.1.*_norm.weight",
                                      "score.weight", NULL};
static const ae_model_options learner = {
    .training = true,
    .params = {.adapters = {.rank = RANK, .alpha = 6, .by_root = true, .on = projections},
               .score_head = true,
               .train = trained}};

/* ---- making one ---- */

static const char *base_folder(void) {
    static char path[512];
    snprintf(path, sizeof path, "%s/tiny", AERIE_FIXTURES);
    return path;
}

static ae_model open_base(const ae_model_options *o) {
    ae_model m;
    cr_assert_eq(ae_model_open(&m, rig_backend(RIG_CPU_BEST, 1), base_folder(), o), AE_OK, "%s",
                 ae_error_message());
    return m;
}

/* What trains moves away from where it began. */
static void learn(ae_model *m) {
    for (ptrdiff_t i = 0; i < m->params.n; i++) {
        const ae_param *p = &m->params.items[i];
        const size_t bytes = (size_t)p->n * sizeof(float);
        if (!p->trainable) continue;
        float *x = malloc(bytes);
        ae_rng r = ae_rng_make(SEED, (uint64_t)i);
        m->be->download(m->be, x, p->value, bytes);
        for (int64_t k = 0; k < p->n; k++) x[k] += 0.3f * (float)(ae_rng_uniform(&r) - 0.5);
        m->be->upload(m->be, p->value, x, bytes);
        free(x);
    }
    ae_model_values_changed(m);
}

static void write_text(const char *name, const char *text) {
    scratch_write(name, text, strlen(text));
}

static void finish(void) {
    static const char *const names[] = {"weights.h5", "model.json", "adapter.json"};
    cr_assert_eq(ae_done_write(scratch_path("step-000001"), names, 3), AE_OK, "%s", ae_error_message());
}

static const char *sample_of(const char *folder) {
    static char sample[AE_FINGERPRINT_BYTES];
    ae_model m = open_base(&(ae_model_options){0});
    ae_tensors *t;
    cr_assert_eq(ae_tensors_open(&t, folder), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_tensors_sample(&m.params, t, sample), AE_OK, "%s", ae_error_message());
    ae_tensors_close(t);
    ae_model_free(&m);
    return sample;
}

static void write_checkpoint(const ae_model *m, const char *fingerprint) {
    char *text = NULL;
    cr_assert_eq(ae_folder_make(scratch_path("step-000001")), AE_OK);
    cr_assert_eq(ae_model_save(m, scratch_path("step-000001/weights.h5")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_model_config_to_json(&m->config, &text), AE_OK);
    write_text("step-000001/model.json", text);
    free(text);
    cr_assert_eq(ae_adapter_json(&text, m, base_folder(), fingerprint, sample_of(base_folder())), AE_OK, "%s",
                 ae_error_message());
    write_text("step-000001/adapter.json", text);
    free(text);
    finish();
}

/* A checkpoint of what trained, at step-000001. */
static ae_model make_adapter(const ae_model_options *o) {
    char fingerprint[AE_FINGERPRINT_BYTES];
    ae_model m = open_base(o);
    cr_assert_eq(ae_model_fingerprint(&m, fingerprint), AE_OK);
    learn(&m);
    write_checkpoint(&m, fingerprint);
    return m;
}

static json_t *read_json(void) {
    json_t *o = NULL;
    cr_assert_eq(ae_json_load(&o, scratch_path("step-000001/adapter.json")), AE_OK, "%s", ae_error_message());
    return o;
}

static ae_status verified(const char *base) {
    ae_adapter_source s;
    ae_model_source b;
    cr_assert_eq(ae_model_source_open(&b, base), AE_OK, "%s", ae_error_message());
    ae_status st = ae_adapter_source_open(&s, scratch_path("step-000001"));
    if (st == AE_OK) st = ae_adapter_source_verify(&s, &b);
    ae_model_source_free(&b);
    ae_adapter_source_free(&s);
    return st;
}

/* ---- adapter.json ---- */

static void expect_list(const json_t *o, const char *key, const char *const *want) {
    const json_t *list = json_object_get(o, key);
    size_t n = 0;
    for (; want[n] != NULL; n++)
        cr_assert_str_eq(json_string_value(json_array_get(list, n)), want[n], "%s", key);
    cr_assert_eq(json_array_size(list), n, "%s: %s", key, json_dumps(list, 0));
}

/* One pattern for what is chosen in all blocks that have it, names for the rest. */
Test(adapter, says_what_trained) {
    static const char *const targets[] = {"model.layers.*.temporal_block.linear_x.weight",
                                          "model.layers.*.mlp_block.down_proj.weight",
                                          "model.layers.*.temporal_block.q_proj.weight", NULL};
    static const char *const whole[] = {"model.layers.*.temporal_block.rg_lru.recurrent_param",
                                        "model.layers.1.temporal_pre_norm.weight",
                                        "model.layers.1.channel_pre_norm.weight", NULL};
    ae_model m = make_adapter(&learner);
    json_t *o = read_json();
    char *absolute = realpath(base_folder(), NULL);
    expect_list(o, "targets", targets);
    expect_list(o, "whole", whole);
    cr_assert_eq(json_integer_value(json_object_get(o, "rank")), RANK);
    cr_assert_eq(json_number_value(json_object_get(o, "alpha")), 6);
    cr_assert(json_is_true(json_object_get(o, "rslora")) && json_is_true(json_object_get(o, "score_head")));
    cr_assert_str_eq(json_string_value(json_object_get(o, "base")), absolute);
    free(absolute);
    json_decref(o);
    ae_model_free(&m);
}

/* The table that is made of it holds what trained, and nothing else. */
Test(adapter, gives_the_table_back) {
    ae_model m = make_adapter(&learner);
    ae_adapter_source s;
    ae_params params;
    cr_assert_eq(ae_adapter_source_open(&s, scratch_path("step-000001")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_params_init_with(&params, &m.config, &s.options), AE_OK, "%s", ae_error_message());
    cr_assert_eq(params.n, m.params.n);
    cr_assert_eq(params.adapter_scale, m.params.adapter_scale);
    for (ptrdiff_t i = 0; i < params.n; i++) {
        cr_assert_str_eq(params.items[i].name, m.params.items[i].name);
        cr_assert_eq(params.items[i].trainable, m.params.items[i].trainable, "%s", params.items[i].name);
    }
    cr_assert_eq(verified(base_folder()), AE_OK, "%s", ae_error_message());
    ae_params_free(&params);
    ae_adapter_source_free(&s);
    ae_model_free(&m);
}

/* Without adapters: a part of the model that trained by itself. */
Test(adapter, may_be_a_part_of_the_model) {
    static const char *const norms[] = {"*norm.weight", NULL};
    static const char *const whole[] = {"model.layers.*.temporal_pre_norm.weight",
                                        "model.layers.*.channel_pre_norm.weight", "model.final_norm.weight",
                                        NULL};
    ae_model m = make_adapter(&(ae_model_options){.training = true, .params = {.train = norms}});
    json_t *o = read_json();
    expect_list(o, "whole", whole);
    expect_list(o, "targets", (const char *const[]){NULL});
    cr_assert_eq(verified(base_folder()), AE_OK, "%s", ae_error_message());
    json_decref(o);
    ae_model_free(&m);
}

Test(adapter, all_of_it_trains) {
    static const char *const some[] = {"*.lora_A.weight", NULL};
    const ae_model_options o = {.training = true, .params = {.adapters = {.rank = 1}, .train = some}};
    ae_model m = open_base(&o);
    char *text;
    cr_assert_eq(ae_adapter_json(&text, &m, "base", "0123456789abcdef", ""), AE_ERR_USAGE);
    cr_assert_message("lora_B.weight: expected adapters and heads that train, found this one frozen");
    cr_assert_null(text);
    ae_model_free(&m);
}

/* ---- the base ---- */

static void expect_fingerprint(const char *fixture, ae_weight_type weights, const char *want) {
    ae_model m;
    char got[AE_FINGERPRINT_BYTES];
    rig_model_with(&m, rig_backend(RIG_CPU_BEST, 1), fixture,
                   &(ae_model_options){.weights = weights, .group = 16});
    cr_assert_eq(ae_model_fingerprint(&m, got), AE_OK);
    cr_assert_eq(strcmp(got, want) == 0, strcmp(fixture, "tiny") == 0, "%s", fixture);
    ae_model_free(&m);
}

/* The same in every form and from the file, another one for another model. */
Test(adapter, the_fingerprint_is_that_of_the_model) {
    ae_model m = open_base(&(ae_model_options){0});
    ae_tensors *t;
    char want[AE_FINGERPRINT_BYTES], got[AE_FINGERPRINT_BYTES];
    cr_assert_eq(ae_model_fingerprint(&m, want), AE_OK);
    cr_assert_eq(ae_tensors_open(&t, base_folder()), AE_OK);
    cr_assert_eq(ae_tensors_fingerprint(&m.params, t, got), AE_OK, "%s", ae_error_message());
    cr_assert_str_eq(got, want);
    ae_tensors_close(t);
    expect_fingerprint("tiny", AE_WEIGHT_BF16, want);
    expect_fingerprint("tiny", AE_WEIGHT_INT8, want);
    expect_fingerprint("tiny", AE_WEIGHT_INT4, want);
    expect_fingerprint("window", AE_WEIGHT_F32, want);
    const ae_param *p = ae_params_find(&m.params, "model.final_norm.weight");
    const float other = 3;
    m.be->upload(m.be, p->value, &other, sizeof other);
    cr_assert_eq(ae_model_fingerprint(&m, got), AE_OK);
    cr_assert_str_neq(got, want);
    ae_model_free(&m);
}

Test(adapter, of_another_base) {
    ae_model m = open_base(&learner);
    write_checkpoint(&m, "0123456789abcdef");
    cr_assert_eq(verified(base_folder()), AE_ERR_INPUT);
    cr_assert_message("expected the base that it was trained on, ");
    cr_assert_message("/tiny (fingerprint 0123456789abcdef), found");
    ae_model_free(&m);
}

Test(adapter, of_another_shape) {
    char attention[512];
    ae_model m = make_adapter(&learner);
    snprintf(attention, sizeof attention, "%s/attention", AERIE_FIXTURES);
    cr_assert_eq(verified(attention), AE_ERR_INPUT);
    cr_assert_message("expected a pattern of names, found '");
    cr_assert_message("beside ");
    ae_model_free(&m);
}

/* ---- damage ---- */

typedef struct {
    const char *key, *value, *says;
} damage;

static void expect_refused(const damage *d) {
    json_t *o = read_json(), *whole = json_deep_copy(o), *value = json_loads(d->value, JSON_DECODE_ANY, NULL);
    cr_assert_not_null(value, "%s", d->value);
    json_object_set_new(o, d->key, value);
    char *text = json_dumps(o, 0), *before = json_dumps(whole, 0);
    write_text("step-000001/adapter.json", text);
    finish();
    cr_assert_eq(verified(base_folder()), AE_ERR_INPUT, "%s: %s", d->key, d->value);
    cr_assert_message(d->says);
    write_text("step-000001/adapter.json", before);
    finish();
    free(before);
    free(text);
    json_decref(whole);
    json_decref(o);
}

Test(adapter, wrong_keys_are_refused_by_name) {
    static const damage damages[] = {
        {"format", "2", "format: expected 1, found 2"},
        {"rank", "-1", "rank: expected 0 to 65536, found -1"},
        {"rank", "1e3", "rank: expected a whole number"},
        {"rank", "0", "targets: expected none with rank 0"},
        {"rank", "4", "lora_A.weight"}, /* shapes */
        {"alpha", "\"6\"", "alpha: expected a number"},
        {"rslora", "1", "rslora: expected true or false"},
        {"score_head", "null", "score_head: expected true or false"},
        {"score_head", "false", "score.weight: a tensor that adapter.json names nowhere"},
        {"targets", "[]", "targets: expected patterns"},
        {"targets", "[3]", "targets: expected patterns of names"},
        {"targets", "[\"\"]", "targets: expected patterns of names"},
        {"targets", "[\"*.linear_x.weight\"]", "lora_A.weight: a tensor that adapter.json names nowhere"},
        {"targets", "[\"*.nothing.weight\"]", "found '*.nothing.weight', which matches none"},
        {"targets", "[\"*\"]", "expected this tensor, found none"},
        {"whole", "{}", "whole: expected a list of patterns"},
        {"whole", "[]", "recurrent_param: a tensor that adapter.json names nowhere"},
        {"whole", "[\"*.conv_1d.weight\", \"*.recurrent_param\", \"*_norm.weight\"]", "expected this tensor"},
        {"base", "4", "base: expected text"},
        {"base_fingerprint", "\"0123\"", "base_fingerprint: expected 16 hexadecimal digits"},
        {"base_fingerprint", "\"0123456789ABCDEF\"", "base_fingerprint: expected 16 hexadecimal digits"},
        {"base_sample", "\"0123\"", "base_sample: expected 16 hexadecimal digits"},
        {"base_sample", "\"0123456789abcdef\"", "/tiny (sample of matrices 0123456789abcdef), found"},
    };
    ae_model m = make_adapter(&learner);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) expect_refused(&damages[i]);
    cr_assert_eq(verified(base_folder()), AE_OK, "%s", ae_error_message());
    ae_model_free(&m);
}

static void flip_byte_in_weights(void) {
    FILE *f = fopen(scratch_path("step-000001/weights.h5"), "r+b");
    cr_assert_not_null(f);
    cr_assert_eq(fseek(f, -3, SEEK_END), 0);
    const int byte = fgetc(f);
    cr_assert_eq(fseek(f, -3, SEEK_END), 0);
    fputc(byte ^ 1, f);
    cr_assert_eq(fclose(f), 0);
}

Test(adapter, damaged_files_are_refused) {
    ae_model m = make_adapter(&learner);
    flip_byte_in_weights();
    cr_assert_eq(verified(base_folder()), AE_ERR_INPUT);
    cr_assert_message("weights.h5");
    flip_byte_in_weights();
    write_text("step-000001/adapter.json", "{}");
    cr_assert_eq(verified(base_folder()), AE_ERR_INPUT);
    cr_assert_message("adapter.json");
    cr_assert_eq(remove(scratch_path("step-000001/DONE")), 0);
    cr_assert_eq(verified(base_folder()), AE_ERR_INPUT);
    cr_assert_message("expected a complete checkpoint, found one without DONE");
    cr_assert_eq(remove(scratch_path("step-000001/adapter.json")), 0);
    cr_assert_eq(verified(base_folder()), AE_ERR_INPUT);
    cr_assert_message("expected an adapter: a folder with adapter.json");
    ae_model_free(&m);
}

/* ---- used ---- */

enum { ROWS = 2, TOKENS = 14 };

/* Base and adapter, opened for inference. */
static ae_model opened(const char *base, ae_weight_type weights) {
    ae_model m;
    ae_model_source b;
    ae_adapter_source a;
    cr_assert_eq(ae_model_source_open(&b, base), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_adapter_source_open(&a, scratch_path("step-000001")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_adapter_source_verify(&a, &b), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_adapter_open_model(&m, rig_backend(RIG_CPU_BEST, 1), &b, &a,
                                       &(ae_model_options){.weights = weights, .group = 16}),
                 AE_OK, "%s", ae_error_message());
    ae_adapter_source_free(&a);
    ae_model_source_free(&b);
    return m;
}

static double distance(const ae_model *a, const ae_model *b) {
    rig_batch rows = rig_batch_random(ROWS, TOKENS, a->config.V, SEED);
    const ae_micro_batch batch = rig_rows(&rows, 0, ROWS);
    float *x = rig_logits(a, &batch), *y = rig_logits(b, &batch);
    const double d = rig_relative(x, y, (size_t)(ROWS * TOKENS * a->config.V));
    free(x);
    free(y);
    rig_batch_free(&rows);
    return d;
}

/* The head comes along, although the base has none. */
static void expect_head(const ae_model *got, const ae_model *want) {
    const ae_param *p = ae_params_find(&got->params, "score.weight"),
                   *q = ae_params_find(&want->params, "score.weight");
    float x[64], y[64];
    cr_assert(p != NULL && q != NULL && p->n <= 64);
    got->be->download(got->be, x, p->value, (size_t)p->n * sizeof *x);
    want->be->download(want->be, y, q->value, (size_t)q->n * sizeof *y);
    cr_assert_arr_eq(x, y, (size_t)p->n * sizeof *x);
}

static ptrdiff_t count_adapters(const ae_model *m) {
    ptrdiff_t n = 0;
    for (ptrdiff_t i = 0; i < m->params.n; i++) n += strstr(m->params.items[i].name, ".lora_") != NULL;
    return n;
}

Test(adapter, merged_is_beside) {
    ae_model learnt = make_adapter(&learner), base = open_base(&(ae_model_options){0}),
             merged = opened(base_folder(), AE_WEIGHT_F32);
    cr_assert_eq(count_adapters(&merged), 0);
    cr_assert_lt(distance(&merged, &learnt), 1e-5);
    cr_assert_gt(distance(&base, &learnt), 1e-2);
    expect_head(&merged, &learnt);
    ae_model_free(&merged);
    ae_model_free(&base);
    ae_model_free(&learnt);
}

/* The weights of the two together are rounded once: those of the merged float32 model in this form. */
Test(adapter, merged_before_it_is_rounded) {
    ae_model learnt = make_adapter(&learner), merged = opened(base_folder(), AE_WEIGHT_F32),
             rounded = opened(base_folder(), AE_WEIGHT_BF16), want;
    cr_assert_eq(
        ae_model_init(&want, merged.be, &merged.config,
                      &(ae_model_options){.weights = AE_WEIGHT_BF16, .params = {.score_head = true}}),
        AE_OK);
    cr_assert_eq(ae_model_copy_values(&want, &merged), AE_OK, "%s", ae_error_message());
    cr_assert_eq(distance(&rounded, &want), 0);
    cr_assert_gt(distance(&rounded, &merged), 0);
    ae_model_free(&want);
    ae_model_free(&rounded);
    ae_model_free(&merged);
    ae_model_free(&learnt);
}

/* Integers stay those of the base, with the adapter in float32 beside them. */
Test(adapter, beside_integers) {
    static const ae_weight_type types[] = {AE_WEIGHT_INT8, AE_WEIGHT_INT4};
    for (int i = 0; i < 2; i++) {
        ae_model_options o = learner;
        o.weights = types[i];
        o.group = 16;
        ae_model learnt = make_adapter(&o), got = opened(base_folder(), types[i]);
        cr_assert_eq(count_adapters(&got), count_adapters(&learnt));
        cr_assert_eq(distance(&got, &learnt), 0);
        expect_head(&got, &learnt);
        ae_model_free(&got);
        ae_model_free(&learnt);
    }
}

/* A matrix that trained whole and has an adapter too, where pieces of a parameter do not end with its rows. */
Test(adapter, beside_a_matrix_that_trained) {
    ae_model learnt = make_adapter(
                 &(ae_model_options){.training = true, .params = {.adapters = {.rank = 1, .alpha = 3}}}),
             merged = opened(base_folder(), AE_WEIGHT_F32);
    cr_assert_lt(distance(&merged, &learnt), 1e-5);
    ae_model_free(&merged);
    ae_model_free(&learnt);
}

Test(adapter, pieces_may_end_within_rows) {
    ae_model learnt = make_adapter(&learner);
    const ae_param *p = ae_params_find(&learnt.params, "model.layers.0.mlp_block.down_proj.weight");
    ae_adapter_source a;
    ae_adapter_merger *merger;
    float *whole = calloc((size_t)p->n, sizeof *whole), *parts = calloc((size_t)p->n, sizeof *parts);
    cr_assert_eq(ae_adapter_source_open(&a, scratch_path("step-000001")), AE_OK);
    cr_assert_eq(ae_adapter_merger_new(&merger, &a, &learnt.config), AE_OK, "%s", ae_error_message());
    const ae_model_amendment amendment = ae_adapter_merger_amendment(merger);
    cr_assert_eq(amendment.amend(amendment.context, p, 0, p->n, whole), AE_OK);
    for (int64_t at = 0, n; at < p->n; at += n) {
        n = p->n - at < 7 ? p->n - at : 7;
        cr_assert_eq(amendment.amend(amendment.context, p, at, n, parts + at), AE_OK);
    }
    cr_assert_arr_eq(parts, whole, (size_t)p->n * sizeof *parts);
    ae_adapter_merger_delete(merger);
    ae_adapter_source_free(&a);
    free(parts);
    free(whole);
    ae_model_free(&learnt);
}

Test(adapter, no_room_for_two_beside_integers) {
    ae_model learnt = make_adapter(&learner), m;
    ae_model_source b;
    ae_adapter_source a;
    cr_assert_eq(ae_model_source_open(&b, base_folder()), AE_OK);
    cr_assert_eq(ae_adapter_source_open(&a, scratch_path("step-000001")), AE_OK);
    cr_assert_eq(ae_adapter_open_model(
                     &m, learnt.be, &b, &a,
                     &(ae_model_options){.weights = AE_WEIGHT_INT8, .params = {.adapters = {.rank = 1}}}),
                 AE_ERR_USAGE);
    cr_assert_message("leaves no room for another one");
    ae_adapter_source_free(&a);
    ae_model_source_free(&b);
    ae_model_free(&learnt);
}

/* Verbs that take whole models refuse it and say what to do. */
Test(adapter, is_no_model) {
    ae_model learnt = make_adapter(&learner), m;
    cr_assert_eq(ae_model_open(&m, learnt.be, scratch_path("step-000001"), &(ae_model_options){0}),
                 AE_ERR_INPUT);
    cr_assert_message("expected a whole model, found what trained beside a base");
    ae_model_free(&learnt);
}

/* ---- PEFT ---- */

static const ae_model_options for_peft = {
    .training = true,
    .params = {.adapters = {.rank = RANK, .alpha = 6, .by_root = true, .on = projections},
               .train = (const char *const[]){"*.lora_?.weight", "*.recurrent_param",
                                              "model.layers.1.*_norm.weight", NULL}}};

/* The adapter at step-000001 as PEFT keeps it, at peft. */
static ae_status write_peft(void) {
    ae_model_source b;
    ae_adapter_source a;
    cr_assert_eq(ae_model_source_open(&b, base_folder()), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_adapter_source_open(&a, scratch_path("step-000001")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_folder_make(scratch_path("peft")), AE_OK);
    const ae_status st = ae_adapter_write_peft(scratch_path("peft"), &a, &b);
    ae_adapter_source_free(&a);
    ae_model_source_free(&b);
    return st;
}

static ae_status verified_peft(const char *base) {
    ae_adapter_source s;
    ae_model_source b;
    cr_assert_eq(ae_model_source_open(&b, base), AE_OK, "%s", ae_error_message());
    ae_status st = ae_adapter_source_open(&s, scratch_path("peft"));
    if (st == AE_OK) st = ae_adapter_source_verify(&s, &b);
    ae_model_source_free(&b);
    ae_adapter_source_free(&s);
    return st;
}

Test(adapter, goes_to_peft_and_comes_back) {
    ae_model learnt = make_adapter(&for_peft), merged, back;
    ae_model_source b;
    ae_adapter_source a;
    cr_assert_eq(write_peft(), AE_OK, "%s", ae_error_message());
    cr_assert_eq(verified_peft(base_folder()), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_model_source_open(&b, base_folder()), AE_OK);
    cr_assert_eq(ae_adapter_source_open(&a, scratch_path("peft")), AE_OK, "%s", ae_error_message());
    cr_assert_eq(a.kind, AE_ADAPTER_PEFT);
    cr_assert_str_eq(a.fingerprint, "");
    cr_assert_eq(ae_adapter_open_model(&back, learnt.be, &b, &a, &(ae_model_options){0}), AE_OK, "%s",
                 ae_error_message());
    merged = opened(base_folder(), AE_WEIGHT_F32);
    cr_assert_eq(distance(&back, &merged), 0);
    ae_adapter_source_free(&a);
    ae_model_source_free(&b);
    ae_model_free(&back);
    ae_model_free(&merged);
    ae_model_free(&learnt);
}

/* PEFT keeps modules whole, and only such as stand alone. */
Test(adapter, has_no_place_in_peft) {
    static const char *const bias[] = {"*.lora_?.weight", "*.linear_x.bias", NULL}, *const norms[] = {
                                                                                        "*norm.weight", NULL};
    static const struct {
        ae_params_options params;
        const char *says;
    } cases[] = {
        {{.adapters = {.rank = 1}, .train = bias}, "linear_x.bias trained whole"},
        {{.adapters = {.rank = 1}, .score_head = true, .train = trained}, "score.weight trained whole"},
        {{.train = norms}, "expected adapters of linear maps, found none"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_model learnt = make_adapter(&(ae_model_options){.training = true, .params = cases[i].params});
        cr_assert_eq(write_peft(), AE_ERR_INPUT);
        cr_assert_message(cases[i].says);
        cr_assert_message("export it merged, without --peft");
        ae_model_free(&learnt);
    }
}

static void expect_peft_refused(const damage *d) {
    json_t *o = NULL, *before, *value = json_loads(d->value, JSON_DECODE_ANY, NULL);
    cr_assert_not_null(value, "%s", d->value);
    cr_assert_eq(ae_json_load(&o, scratch_path("peft/adapter_config.json")), AE_OK);
    before = json_deep_copy(o);
    json_object_set_new(o, d->key, value);
    char *text = json_dumps(o, 0), *was = json_dumps(before, 0);
    write_text("peft/adapter_config.json", text);
    cr_assert_eq(verified_peft(base_folder()), AE_ERR_INPUT, "%s: %s", d->key, d->value);
    cr_assert_message(d->says);
    write_text("peft/adapter_config.json", was);
    free(was);
    free(text);
    json_decref(before);
    json_decref(o);
}

Test(adapter, a_bias_of_null_is_none) {
    ae_model learnt = make_adapter(&for_peft);
    cr_assert_eq(write_peft(), AE_OK, "%s", ae_error_message());
    json_t *o = NULL;
    cr_assert_eq(ae_json_load(&o, scratch_path("peft/adapter_config.json")), AE_OK);
    json_object_set_new(o, "bias", json_null());
    char *text = json_dumps(o, 0);
    write_text("peft/adapter_config.json", text);
    cr_assert_eq(verified_peft(base_folder()), AE_OK, "%s", ae_error_message());
    free(text);
    json_decref(o);
    ae_model_free(&learnt);
}

Test(adapter, what_peft_can_do_and_this_cannot) {
    static const damage damages[] = {
        {"peft_type", "\"IA3\"", "peft_type: expected LORA, found \"IA3\""},
        {"peft_type", "null", "peft_type: expected LORA"},
        {"r", "0", "r: expected 1 to 65536, found 0"},
        {"r", "4", "lora_A.weight"}, /* shapes */
        {"lora_alpha", "\"6\"", "lora_alpha: expected a number"},
        {"use_rslora", "\"yes\"", "use_rslora: expected true or false"},
        {"bias", "\"all\"", "bias: expected none, found \"all\""},
        {"use_dora", "true", "use_dora: expected an adapter without it"},
        {"rank_pattern", "{\"q_proj\": 2}", "rank_pattern: expected an adapter without it"},
        {"alpha_pattern", "{\"q_proj\": 2}", "alpha_pattern: expected an adapter without it"},
        {"fan_in_fan_out", "true", "fan_in_fan_out: "},
        {"layer_replication", "[[0, 2]]", "layer_replication: "},
        {"of_a_later_version", "1", "of_a_later_version: expected an adapter without it"},
        {"init_lora_weights", "\"pissa_niter_4\"", "init_lora_weights: expected a way to begin"},
        {"target_modules", "3", "target_modules: expected a list of modules"},
        {"target_modules", "[3]", "target_modules: expected names of modules"},
        {"target_modules", "[\"q_proj\"]",
         "adapter_model.safetensors names it, and adapter_config.json does not"},
        {"target_modules", "\"all-linear\"",
         "adapter_config.json names it, and adapter_model.safetensors lacks it"},
        {"modules_to_save", "[\"rg_lru\"]", "norm.weight: adapter_model.safetensors names it"},
        {"modules_to_save", "[\"rg_lru\", \"_norm\"]", "norm.weight: adapter_config.json names it"},
        {"modules_to_save", "[\"embed_tokens\"]",
         "modules_to_save: embed_tokens: expected modules other than the table"},
    };
    ae_model learnt = make_adapter(&for_peft);
    cr_assert_eq(write_peft(), AE_OK, "%s", ae_error_message());
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) expect_peft_refused(&damages[i]);
    cr_assert_eq(verified_peft(base_folder()), AE_OK, "%s", ae_error_message());
    ae_model_free(&learnt);
}

/* ---- tensors that a folder of PEFT may hold ---- */

/* One target, linear_x of block 0 in the fixture, with tensors of these names and shapes. */
static ae_status with_tensors(const char *const *names, const int64_t (*shapes)[2], size_t n) {
    static const float zeros[4096] = {0};
    ae_safetensor_entry entries[4] = {0};
    ae_safetensors_writer *w;
    for (size_t i = 0; i < n; i++) {
        entries[i] = (ae_safetensor_entry){.dtype = "F32", .rank = 2, .shape = {shapes[i][0], shapes[i][1]}};
        snprintf(entries[i].name, sizeof entries[i].name, "%s", names[i]);
    }
    write_text("peft/adapter_config.json",
               "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 2, \"target_modules\": \".*linear_x\"}");
    cr_assert_eq(ae_safetensors_create(&w, scratch_path("peft/adapter_model.safetensors"), entries, n), AE_OK,
                 "%s", ae_error_message());
    for (size_t i = 0; i < n; i++)
        cr_assert_eq(ae_safetensors_write(w, zeros, (size_t)ae_safetensor_entry_bytes(&entries[i])), AE_OK);
    cr_assert_eq(ae_safetensors_finish(w), AE_OK);
    return verified_peft(base_folder());
}

#define STEM "base_model.model.model.layers.0.temporal_block.linear_x"

Test(adapter, wrong_tensors_of_peft) {
    const ae_model base = open_base(&(ae_model_options){0});
    const int64_t C = base.config.C, D = base.config.D;
    const int64_t shapes[][2] = {{2, D}, {C, 2}, {2, 2}}, turned[][2] = {{D, 2}, {C, 2}};
    cr_assert_eq(ae_folder_make(scratch_path("peft")), AE_OK);
    cr_assert_eq(with_tensors((const char *const[]){STEM ".lora_A.weight", STEM ".lora_B.weight"}, shapes, 2),
                 AE_OK, "%s", ae_error_message());
    cr_assert_eq(with_tensors((const char *const[]){STEM ".lora_A.weight"}, shapes, 1), AE_ERR_INPUT);
    cr_assert_message("linear_x.lora_B.weight: expected this tensor, found none");
    cr_assert_eq(with_tensors((const char *const[]){STEM ".lora_A.weight", STEM ".lora_B.weight"}, turned, 2),
                 AE_ERR_INPUT);
    cr_assert_message("linear_x.lora_A.weight");
    cr_assert_eq(with_tensors((const char *const[]){STEM ".lora_A.weight", STEM ".lora_B.weight",
                                                    STEM ".lora_magnitude_vector"},
                              shapes, 3),
                 AE_ERR_INPUT);
    cr_assert_message(
        "linear_x.lora_magnitude_vector: expected lora_A.weight and lora_B.weight of linear maps");
    cr_assert_eq(with_tensors((const char *const[]){STEM ".lora_A.weight", STEM ".lora_B.weight",
                                                    "base_model.model.x"},
                              shapes, 3),
                 AE_ERR_INPUT);
    cr_assert_message("'x', which matches none");
    cr_assert_eq(with_tensors((const char *const[]){"base_model.model.*.lora_A.weight",
                                                    "base_model.model.*.lora_B.weight"},
                              shapes, 2),
                 AE_ERR_INPUT);
    ae_model_free((ae_model *)&base);
}

Test(adapter, half_a_folder_of_peft) {
    cr_assert_eq(ae_folder_make(scratch_path("peft")), AE_OK);
    write_text("peft/adapter_config.json", "{\"peft_type\": \"LORA\"");
    cr_assert_eq(verified_peft(base_folder()), AE_ERR_INPUT);
    cr_assert_message("expected adapter_model.safetensors, found none");
    write_text("peft/adapter_model.bin", "x");
    cr_assert_eq(verified_peft(base_folder()), AE_ERR_INPUT);
    cr_assert_message("found adapter_model.bin; save it with PEFT once more");
    write_text("peft/adapter_model.safetensors", "x");
    cr_assert_eq(verified_peft(base_folder()), AE_ERR_INPUT);
    cr_assert_message("adapter_config.json: expected JSON");
}
