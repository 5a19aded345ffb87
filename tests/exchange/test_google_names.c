#include "exchange/source.h"
#include "formats/google_names.h"
#include "formats/safetensors_write.h"
#include "formats/tensors.h"
#include "model/params.h"
#include "tests/core/scratch.h"

TestSuite(google_names, .init = scratch_make, .fini = scratch_remove);

enum { MORE_ROWS = 3, ENTRIES_MAX = 256 };

/* A file with the values of a fixture under the names and in the shapes of Google's release. */
typedef struct {
    ae_safetensor_entry entries[ENTRIES_MAX];
    float *values[ENTRIES_MAX];
    size_t n;
    ae_params params;
    ae_tensors *from;
} release;

static const char *fixture(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", AERIE_FIXTURES, name);
    return path;
}

static int64_t count(const ae_safetensor_entry *e) {
    return ae_safetensor_entry_bytes(e) / 4;
}

static ae_safetensor_entry *add(release *r, const char *name, int rank, int64_t a, int64_t b, int64_t c) {
    ae_safetensor_entry *e = &r->entries[r->n];
    cr_assert_lt(r->n, ENTRIES_MAX);
    *e = (ae_safetensor_entry){.dtype = "F32", .rank = rank, .shape = {a, b, c}};
    snprintf(e->name, sizeof e->name, "%s", name);
    r->values[r->n++] = calloc((size_t)count(e), sizeof(float));
    return e;
}

static const ae_param *param(const release *r, const char *name) {
    const ae_param *p = ae_params_find(&r->params, name);
    cr_assert_not_null(p, "%s", name);
    return p;
}

static void read_into(const release *r, const char *name, float *out) {
    const ae_param *p = param(r, name);
    cr_assert_eq(ae_tensors_read(r->from, p->name, p->rank, p->shape, out), AE_OK, "%s", ae_error_message());
}

/* out[c][r] = x[r][c] */
static void turn(float *out, const float *x, int64_t rows, int64_t cols) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) out[j * rows + i] = x[i * cols + j];
}

static void add_same(release *r, const char *google, const char *ours) {
    const ae_param *p = param(r, ours);
    add(r, google, p->rank, p->shape[0], p->shape[1], p->shape[2]);
    read_into(r, ours, r->values[r->n - 1]);
}

/* Of a block: names behind "blocks.I." and "model.layers.I.". */
static void add_in_block(release *r, ptrdiff_t i, const char *google, const char *ours) {
    char there[256], here[256];
    snprintf(there, sizeof there, "blocks.%td.%s", i, google);
    snprintf(here, sizeof here, "model.layers.%td.%s", i, ours);
    add_same(r, there, here);
}

static void add_mlp(release *r, const ae_model_config *c, ptrdiff_t i) {
    static const char *const halves[] = {"gate_proj", "up_proj"};
    const int64_t D = c->D, E = c->E;
    char name[112];
    float *x = malloc((size_t)(D * E) * sizeof *x);
    snprintf(name, sizeof name, "blocks.%td.mlp_block.ffw_up.w", i);
    add(r, name, 3, 2, D, E);
    for (int h = 0; h < 2; h++) {
        snprintf(name, sizeof name, "model.layers.%td.mlp_block.%s.weight", i, halves[h]);
        read_into(r, name, x);
        turn(r->values[r->n - 1] + h * D * E, x, E, D);
    }
    free(x);
    snprintf(name, sizeof name, "blocks.%td.mlp_block.ffw_up.b", i);
    add(r, name, 4, 2, 1, 1)->shape[3] = E;
    free(r->values[r->n - 1]);
    r->values[r->n - 1] = calloc((size_t)(2 * E), sizeof(float));
    for (int h = 0; h < 2; h++) {
        snprintf(name, sizeof name, "model.layers.%td.mlp_block.%s.bias", i, halves[h]);
        read_into(r, name, r->values[r->n - 1] + h * E);
    }
    add_in_block(r, i, "mlp_block.ffw_down.weight", "mlp_block.down_proj.weight");
    add_in_block(r, i, "mlp_block.ffw_down.bias", "mlp_block.down_proj.bias");
}

static void add_recurrent(release *r, const ae_model_config *c, ptrdiff_t i) {
    static const char *const linear[] = {"linear_x.weight", "linear_x.bias",     "linear_y.weight",
                                         "linear_y.bias",   "linear_out.weight", "linear_out.bias"};
    char there[112], here[112];
    for (size_t k = 0; k < 6; k++) {
        snprintf(there, sizeof there, "recurrent_block.%s", linear[k]);
        snprintf(here, sizeof here, "temporal_block.%s", linear[k]);
        add_in_block(r, i, there, here);
    }
    add_in_block(r, i, "recurrent_block.conv_1d.b", "temporal_block.conv_1d.bias");
    add_in_block(r, i, "recurrent_block.rg_lru.a_param", "temporal_block.rg_lru.recurrent_param");
    add_in_block(r, i, "recurrent_block.rg_lru.input_gate.w", "temporal_block.rg_lru.input_gate_weight");
    add_in_block(r, i, "recurrent_block.rg_lru.input_gate.b", "temporal_block.rg_lru.input_gate_bias");
    add_in_block(r, i, "recurrent_block.rg_lru.a_gate.w", "temporal_block.rg_lru.recurrent_gate_weight");
    add_in_block(r, i, "recurrent_block.rg_lru.a_gate.b", "temporal_block.rg_lru.recurrent_gate_bias");
    float *x = malloc((size_t)(c->C * c->K) * sizeof *x);
    snprintf(there, sizeof there, "blocks.%td.recurrent_block.conv_1d.w", i);
    snprintf(here, sizeof here, "model.layers.%td.temporal_block.conv_1d.weight", i);
    add(r, there, 2, c->K, c->C, 0);
    read_into(r, here, x);
    turn(r->values[r->n - 1], x, c->C, c->K);
    free(x);
}

static void add_attention(release *r, ptrdiff_t i) {
    add_in_block(r, i, "attention_block.proj_q.weight", "temporal_block.q_proj.weight");
    add_in_block(r, i, "attention_block.proj_k.weight", "temporal_block.k_proj.weight");
    add_in_block(r, i, "attention_block.proj_v.weight", "temporal_block.v_proj.weight");
    add_in_block(r, i, "attention_block.proj_final.weight", "temporal_block.o_proj.weight");
    add_in_block(r, i, "attention_block.proj_final.bias", "temporal_block.o_proj.bias");
}

static void make(release *r, const ae_model_config *c, const char *name) {
    cr_assert_eq(ae_params_init(&r->params, c), AE_OK);
    cr_assert_eq(ae_tensors_open(&r->from, fixture(name)), AE_OK);
    add(r, "embedder.input_embedding", 2, c->V + MORE_ROWS, c->D, 0);
    read_into(r, "model.embed_tokens.weight", r->values[0]);
    add_same(r, "final_norm.scale", "model.final_norm.weight");
    for (ptrdiff_t i = 0; i < c->blocks; i++) {
        add_in_block(r, i, "temporal_pre_norm.scale", "temporal_pre_norm.weight");
        add_in_block(r, i, "channel_pre_norm.scale", "channel_pre_norm.weight");
        add_mlp(r, c, i);
        if (c->pattern[i] == AE_ATTENTION)
            add_attention(r, i);
        else
            add_recurrent(r, c, i);
    }
}

static const char *write_file(const release *r, const char *name) {
    const char *path = scratch_path(name);
    ae_safetensors_writer *w = NULL;
    cr_assert_eq(ae_safetensors_create(&w, path, r->entries, r->n), AE_OK, "%s", ae_error_message());
    for (size_t i = 0; i < r->n; i++)
        cr_assert_eq(ae_safetensors_write(w, r->values[i], 4 * (size_t)count(&r->entries[i])), AE_OK);
    cr_assert_eq(ae_safetensors_finish(w), AE_OK, "%s", ae_error_message());
    return path;
}

static void drop(release *r) {
    for (size_t i = 0; i < r->n; i++) free(r->values[i]);
    ae_tensors_close(r->from);
    ae_params_free(&r->params);
}

static ae_model_config config_of(const char *name) {
    ae_model_source s;
    cr_assert_eq(ae_model_source_open(&s, fixture(name)), AE_OK);
    const ae_model_config c = s.config;
    ae_model_source_free(&s);
    return c;
}

static void expect_values(const release *r, ae_tensors *t, const ae_param *p) {
    const int64_t first = p->n / 3, n = p->n - first - p->n / 5;
    float *x = malloc((size_t)p->n * sizeof *x), *y = malloc((size_t)p->n * sizeof *y);
    cr_assert_eq(ae_tensors_read(r->from, p->name, p->rank, p->shape, x), AE_OK);
    cr_assert_eq(ae_tensors_read(t, p->name, p->rank, p->shape, y), AE_OK, "%s", ae_error_message());
    cr_assert_eq(memcmp(x, y, (size_t)p->n * sizeof *x), 0, "%s", p->name);
    cr_assert_eq(ae_tensors_read_part(t, p->name, p->rank, p->shape, first, n, y), AE_OK);
    cr_assert_eq(memcmp(x + first, y, (size_t)n * sizeof *x), 0, "a part of %s", p->name);
    free(x);
    free(y);
}

Test(google_names, every_tensor_is_found_and_turned) {
    static const char *const names[] = {"tiny", "hawk"};
    for (size_t f = 0; f < 2; f++) {
        const ae_model_config c = config_of(names[f]);
        release r = {0};
        ae_tensors *t = NULL;
        make(&r, &c, names[f]);
        cr_assert_eq(ae_tensors_open(&t, write_file(&r, "model.safetensors")), AE_OK, "%s",
                     ae_error_message());
        cr_assert_eq(ae_tensors_count(t), r.params.n);
        for (ptrdiff_t i = 0; i < r.params.n; i++) expect_values(&r, t, &r.params.items[i]);
        ae_tensors_close(t);
        drop(&r);
    }
}

/* Opens the file and reads a parameter, which fails. */
static void refused(const release *r, const char *name, const char *says) {
    const ae_param *p = param(r, name);
    ae_tensors *t = NULL;
    float *x = malloc((size_t)p->n * sizeof *x);
    ae_status st = ae_tensors_open(&t, write_file(r, "bad.safetensors"));
    if (st == AE_OK) st = ae_tensors_read(t, p->name, p->rank, p->shape, x);
    cr_assert_eq(st, AE_ERR_INPUT);
    cr_assert_message(says);
    cr_assert_message("bad.safetensors");
    ae_tensors_close(t);
    free(x);
}

static size_t entry(const release *r, const char *name) {
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->entries[i].name, name) == 0) return i;
    cr_assert_fail("%s", name);
    return 0;
}

static void swap_shape(release *r, const char *name, int i, int j) {
    int64_t *shape = r->entries[entry(r, name)].shape, kept = shape[i];
    shape[i] = shape[j];
    shape[j] = kept;
}

Test(google_names, other_shapes_are_refused_as_the_file_has_them) {
    const ae_model_config c = config_of("tiny");
    release r = {0};
    make(&r, &c, "tiny");
    swap_shape(&r, "blocks.0.mlp_block.ffw_up.w", 1, 2);
    refused(&r, "model.layers.0.mlp_block.up_proj.weight",
            "blocks.0.mlp_block.ffw_up.w: expected shape [2, 32, 96], found [2, 96, 32]");
    swap_shape(&r, "blocks.0.mlp_block.ffw_up.w", 1, 2);
    swap_shape(&r, "blocks.0.recurrent_block.conv_1d.w", 0, 1);
    refused(&r, "model.layers.0.temporal_block.conv_1d.weight", "expected shape [4, 48], found [48, 4]");
    swap_shape(&r, "blocks.0.recurrent_block.conv_1d.w", 0, 1);
    swap_shape(&r, "embedder.input_embedding", 0, 1);
    refused(&r, "model.embed_tokens.weight", "expected shape [64, 32], found [32, 67]");
    swap_shape(&r, "embedder.input_embedding", 0, 1);
    add_same(&r, "model.final_norm.weight", "model.final_norm.weight");
    refused(&r, "model.final_norm.weight", "under two names");
    drop(&r);
}

Test(google_names, names_that_are_none) {
    static const char *const names[] = {"",
                                        "blocks",
                                        "blocks.",
                                        "blocks.x.temporal_pre_norm.scale",
                                        "blocks.1.",
                                        "blocks.1.temporal_pre_norm.scale.",
                                        "blocks.12345678.temporal_pre_norm.scale",
                                        "temporal_pre_norm.scale",
                                        "model.final_norm.weight"};
    ae_google_tensor t[AE_GOOGLE_NAMES_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_assert_eq(ae_google_tensors(names[i], t), 0, "%s", names[i]);
    cr_assert_eq(ae_google_tensors("blocks.17.mlp_block.ffw_up.b", t), 2);
    cr_assert_str_eq(t[1].name, "model.layers.17.mlp_block.up_proj.bias");
    cr_assert(t[1].layout == AE_LAYOUT_HALF && t[1].half == 1);
}
