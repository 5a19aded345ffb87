#include "model/params.h"

#include "core/arena.h"
#include "core/rng.h"
#include "core/threads.h"

#include <assert.h>
#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a block: its own parameters, and two for the adapter of each of its up to seven projections. */
enum { ALIGN = AE_ARENA_ALIGN / sizeof(float), PER_BLOCK_MAX = 24 + 14, OUTSIDE_BLOCKS = 3 };

/* ---- names ---- */

/* What Gemma calls the part that a name begins with. */
static const char *name_in_gemma(const char *part, size_t n) {
    static const char *const names[][2] = {{"temporal_pre_norm", "input_layernorm"},
                                           {"channel_pre_norm", "post_attention_layernorm"},
                                           {"temporal_block", "self_attn"},
                                           {"mlp_block", "mlp"},
                                           {"final_norm", "norm"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i][0]) == n && strncmp(names[i][0], part, n) == 0) return names[i][1];
    return NULL;
}

bool ae_param_name(char out[AE_PARAM_NAME], const ae_model_config *c, ptrdiff_t block, const char *name) {
    const size_t part = strcspn(name, ".");
    const char *other = ae_model_is_gemma(c) ? name_in_gemma(name, part) : NULL;
    char within[32] = "";
    if (block >= 0) snprintf(within, sizeof within, "layers.%td.", block);
    const int n = other != NULL ? snprintf(out, AE_PARAM_NAME, "model.%s%s%s", within, other, name + part)
                                : snprintf(out, AE_PARAM_NAME, "model.%s%s", within, name);
    return n > 0 && n < AE_PARAM_NAME;
}

/* ---- the table ---- */

typedef struct {
    ae_params *params;
    const ae_model_config *config;
    ptrdiff_t block; /* -1 outside the blocks */
} table;

__attribute__((format(printf, 6, 7))) static ae_param *add_named(table *t, int rank, int64_t a, int64_t b,
                                                                 int64_t c, const char *fmt, ...) {
    ae_param *p = &t->params->items[t->params->n++];
    va_list args;
    *p = (ae_param){.rank = rank, .shape = {a, b, c}, .trainable = true};
    va_start(args, fmt);
    const int n = vsnprintf(p->name, sizeof p->name, fmt, args);
    va_end(args);
    assert(n > 0 && (size_t)n < sizeof p->name);
    (void)n;
    p->n = a * (rank > 1 ? b : 1) * (rank > 2 ? c : 1);
    return p;
}

static ae_param *add(table *t, const char *name, int rank, int64_t a, int64_t b, int64_t c) {
    char full[AE_PARAM_NAME];
    const bool fits = ae_param_name(full, t->config, t->block, name);
    assert(fits);
    (void)fits;
    return add_named(t, rank, a, b, c, "%s", full);
}

static void add_vector(table *t, const char *name, int64_t n) {
    add(t, name, 1, n, 0, 0);
}

/* Of a projection, where the shape has any. */
static void add_bias(table *t, const char *name, int64_t n) {
    if (!t->config->no_biases) add_vector(t, name, n);
}

static double init_std(double s, int64_t fan_in) {
    return sqrt(s / (double)fan_in);
}

/* p is a matrix of products. */
static void be_matrix(ae_param *p, ae_init init, double spread) {
    p->init = init;
    p->spread = spread;
    p->decays = p->product = true;
    p->rows = p->shape[0];
    p->cols = p->shape[1];
}

/* A matrix [out, in] of a linear layer, with s of the initial variance s / in. */
static void add_matrix(table *t, const char *name, int64_t out, int64_t in, double s) {
    be_matrix(add(t, name, 2, out, in, 0), AE_INIT_NORMAL, init_std(s, in));
}

static void add_gate(table *t, const char *weight, const char *bias) {
    const int64_t N = t->config->N, S = t->config->C / N;
    ae_param *p = add(t, weight, 3, N, S, S);
    p->init = AE_INIT_NORMAL;
    p->spread = init_std(1, S);
    p->product = true;
    p->rows = N * S;
    p->cols = S;
    p->parts = N;
    add(t, bias, 2, N, S, 0);
}

static void add_conv(table *t) {
    const ae_model_config *c = t->config;
    ae_param *p = add(t, "temporal_block.conv_1d.weight", 3, c->C, 1, c->K);
    p->init = AE_INIT_NORMAL;
    p->spread = init_std(0.01, c->K);
    p->decays = true;
    add_vector(t, "temporal_block.conv_1d.bias", c->C);
}

static double output_variance(const ae_model_config *c) {
    return 2.0 / (double)c->blocks;
}

static void add_recurrent(table *t) {
    const ae_model_config *c = t->config;
    add_matrix(t, "temporal_block.linear_x.weight", c->C, c->D, 1);
    add_bias(t, "temporal_block.linear_x.bias", c->C);
    add_matrix(t, "temporal_block.linear_y.weight", c->C, c->D, 1);
    add_bias(t, "temporal_block.linear_y.bias", c->C);
    add_conv(t);
    add(t, "temporal_block.rg_lru.recurrent_param", 1, c->C, 0, 0)->init = AE_INIT_RECURRENT;
    add_gate(t, "temporal_block.rg_lru.input_gate_weight", "temporal_block.rg_lru.input_gate_bias");
    add_gate(t, "temporal_block.rg_lru.recurrent_gate_weight", "temporal_block.rg_lru.recurrent_gate_bias");
    add_matrix(t, "temporal_block.linear_out.weight", c->D, c->C, output_variance(c));
    add_bias(t, "temporal_block.linear_out.bias", c->D);
}

static void add_attention(table *t) {
    const ae_model_config *c = t->config;
    const int64_t queries = c->N * c->H, keys = c->G * c->H;
    add_matrix(t, "temporal_block.q_proj.weight", queries, c->D, 1);
    add_matrix(t, "temporal_block.k_proj.weight", keys, c->D, 1);
    add_matrix(t, "temporal_block.v_proj.weight", keys, c->D, 1);
    add_matrix(t, "temporal_block.o_proj.weight", c->D, queries, output_variance(c));
    add_bias(t, "temporal_block.o_proj.bias", c->D);
}

static void add_mlp(table *t) {
    const ae_model_config *c = t->config;
    add_matrix(t, "mlp_block.gate_proj.weight", c->E, c->D, 1);
    add_bias(t, "mlp_block.gate_proj.bias", c->E);
    add_matrix(t, "mlp_block.up_proj.weight", c->E, c->D, 1);
    add_bias(t, "mlp_block.up_proj.bias", c->E);
    add_matrix(t, "mlp_block.down_proj.weight", c->D, c->E, output_variance(c));
    add_bias(t, "mlp_block.down_proj.bias", c->D);
}

static void add_block(table *t) {
    const ae_model_config *c = t->config;
    add_vector(t, "temporal_pre_norm.weight", c->D);
    if (c->pattern[t->block] == AE_ATTENTION)
        add_attention(t);
    else
        add_recurrent(t);
    add_vector(t, "channel_pre_norm.weight", c->D);
    add_mlp(t);
}

static int64_t total_elements(const ae_params *p) {
    int64_t total = 0;
    for (ptrdiff_t i = 0; i < p->n; i++) total += p->items[i].n;
    return total;
}

/* ---- what is added to the shape ---- */

static bool matches(const ae_param *p, const char *const *patterns) {
    if (patterns == NULL) return true;
    for (size_t i = 0; patterns[i] != NULL; i++) {
        if (fnmatch(patterns[i], p->name, 0) == 0) return true;
    }
    return false;
}

static bool is_projection(const ae_param *p) {
    return p->product && p->parts == 0 && !p->often && !p->added;
}

/* Each pattern is there for something. */
static ae_status check_patterns(const ae_params *p, const char *const *patterns,
                                bool (*counts)(const ae_param *), const char *what) {
    for (size_t k = 0; patterns != NULL && patterns[k] != NULL; k++) {
        ptrdiff_t i = 0;
        while (i < p->n && !(counts(&p->items[i]) && fnmatch(patterns[k], p->items[i].name, 0) == 0)) i++;
        if (i == p->n)
            return AE_FAIL(AE_ERR_USAGE, "%s: expected a pattern of names, found '%s', which matches none",
                           what, patterns[k]);
    }
    return AE_OK;
}

const char ae_adapter_pattern[] = "*.lora_?.weight";

bool ae_adapter_part_name(char name[AE_PARAM_NAME], const char *weight, char part) {
    static const char suffix[] = ".weight";
    const size_t n = strlen(weight), end = sizeof suffix - 1;
    const size_t stem = n > end && strcmp(weight + n - end, suffix) == 0 ? n - end : n;
    const int written = snprintf(name, AE_PARAM_NAME, "%.*s.lora_%c.weight", (int)stem, weight, part);
    return written > 0 && written < AE_PARAM_NAME;
}

ae_param *ae_params_find_adapter(const ae_params *p, const char *weight, char part) {
    char name[AE_PARAM_NAME];
    return ae_adapter_part_name(name, weight, part) ? ae_params_find(p, name) : NULL;
}

/* Around 0 and within 1 / sqrt(in) for A, zeros for B: the model starts as it was without. */
static void add_adapter(table *t, const ae_param *of, ptrdiff_t rank) {
    char a_name[AE_PARAM_NAME], b_name[AE_PARAM_NAME];
    const bool fits =
        ae_adapter_part_name(a_name, of->name, 'A') && ae_adapter_part_name(b_name, of->name, 'B');
    assert(fits);
    (void)fits;
    ae_param *a = add_named(t, 2, rank, of->cols, 0, "%s", a_name);
    ae_param *b = add_named(t, 2, of->rows, rank, 0, "%s", b_name);
    be_matrix(a, AE_INIT_UNIFORM, 1 / sqrt((double)of->cols));
    be_matrix(b, AE_INIT_ZERO, 0);
    a->added = b->added = true;
}

static ae_status add_adapters(table *t, const ae_adapter_options *o) {
    ae_params *p = t->params;
    const ptrdiff_t n = p->n;
    if (o->rank < 0)
        return AE_FAIL(AE_ERR_USAGE, "adapters: expected a rank of 0 or more, found %td", o->rank);
    if (o->rank == 0) return AE_OK;
    p->adapter_rank = o->rank;
    p->adapter_scale = o->alpha / (o->by_root ? sqrt((double)o->rank) : (double)o->rank);
    for (ptrdiff_t i = 0; i < n; i++) {
        const ae_param *of = &p->items[i];
        if (is_projection(of) && matches(of, o->on)) add_adapter(t, of, o->rank);
    }
    return check_patterns(p, o->on, is_projection, "adapters");
}

static void add_score_head(table *t, bool zero) {
    const int64_t D = t->config->D;
    ae_param *p = add_named(t, 2, 1, D, 0, "score.weight");
    p->init = zero ? AE_INIT_ZERO : AE_INIT_NORMAL;
    p->spread = 1 / sqrt((double)D + 1);
    p->decays = p->added = true;
}

static bool any(const ae_param *p) {
    (void)p;
    return true;
}

static ae_status freeze(ae_params *p, const char *const *train) {
    for (ptrdiff_t i = 0; i < p->n; i++) p->items[i].trainable = matches(&p->items[i], train);
    return check_patterns(p, train, any, "parameters that train");
}

/* ---- all of it ---- */

static void add_shape(table *t) {
    add_matrix(t, "embed_tokens.weight", t->config->V, t->config->D, 1);
    t->params->items[0].decays = false;
    t->params->items[0].often = true;
    for (t->block = 0; t->block < t->config->blocks; t->block++) add_block(t);
    t->block = -1;
    add_vector(t, "final_norm.weight", t->config->D);
}

ae_status ae_params_init_with(ae_params *p, const ae_model_config *c, const ae_params_options *o) {
    const size_t most = (size_t)c->blocks * PER_BLOCK_MAX + OUTSIDE_BLOCKS;
    table t = {.params = p, .config = c, .block = -1};
    ae_status st = AE_OK;
    *p = (ae_params){.items = calloc(most, sizeof *p->items)};
    if (p->items == NULL) return AE_FAIL(AE_ERR_RESOURCE, "the table of parameters: out of memory");
    add_shape(&t);
    AE_TRY(add_adapters(&t, &o->adapters));
    if (o->score_head) add_score_head(&t, o->zero_head);
    AE_TRY(freeze(p, o->train));
    assert((size_t)p->n <= most);
    p->total = total_elements(p);
out:
    if (st != AE_OK) ae_params_free(p);
    return st;
}

ae_status ae_params_init(ae_params *p, const ae_model_config *c) {
    return ae_params_init_with(p, c, &(ae_params_options){0});
}

void ae_params_free(ae_params *p) {
    free(p->items);
    *p = (ae_params){0};
}

ae_param *ae_params_find(const ae_params *p, const char *name) {
    for (ptrdiff_t i = 0; i < p->n; i++) {
        if (strcmp(p->items[i].name, name) == 0) return &p->items[i];
    }
    return NULL;
}

int64_t ae_params_padded_elements(const ae_params *p, bool trainable_only) {
    int64_t n = 0;
    for (ptrdiff_t i = 0; i < p->n; i++) {
        if (p->items[i].trainable || !trainable_only) n += (p->items[i].n + ALIGN - 1) / ALIGN * ALIGN;
    }
    return n;
}

/* ---- compact forms ---- */

ae_weight_shape ae_param_compact_shape(const ae_param *p, ae_weight_type type, ptrdiff_t group) {
    return (ae_weight_shape){.type = p->parts > 0 ? AE_WEIGHT_BF16 : type,
                             .rows = (ptrdiff_t)p->rows,
                             .cols = (ptrdiff_t)p->cols,
                             .parts = (ptrdiff_t)p->parts,
                             .group = ae_weight_group(type, group)};
}

int64_t ae_param_piece_rows(const ae_param *p) {
    enum { ELEMENTS = 1 << 20, PANEL = 16 };
    const int64_t unit = p->parts > 0 ? p->cols : PANEL;
    return unit * (ELEMENTS / (unit * p->cols) > 1 ? ELEMENTS / (unit * p->cols) : 1);
}

/* ---- initial values ---- */

/* With r = 1/8, a = exp(-softplus(p)); a^2 = u is uniform in [0.9^2, 0.999^2], so softplus(p) = -log(u) / 2. */
static double draw_recurrent(ae_rng *r) {
    const double low = 0.9 * 0.9, high = 0.999 * 0.999;
    const double u = low + (high - low) * ae_rng_uniform(r);
    return log(expm1(-0.5 * log(u)));
}

/* Four normals of one counter: Box and Muller twice, over uniforms of 32 bits. */
static void draw_normals(ae_rng r, float std, float out[4]) {
    uint32_t words[4];
    ae_rng_words(&r, words);
    for (int pair = 0; pair < 4; pair += 2) {
        const float radius = ((float)words[pair] + 1.0f) * 0x1p-32f; /* (0, 1] */
        const float angle = (float)words[pair + 1] * (float)(6.283185307179586477 * 0x1p-32);
        const float length = std * sqrtf(-2.0f * logf(radius));
        out[pair] = length * cosf(angle);
        out[pair + 1] = length * sinf(angle);
    }
}

/* Element i is number i % 4 of counter i / 4: any part can be made apart, and by any thread. */
static void fill_normals(uint64_t seed, uint64_t stream, float std, int64_t first, int64_t n, float *out) {
#pragma omp parallel for schedule(static) num_threads(ae_threads())
    for (int64_t k = first / 4; k < (first + n + 3) / 4; k++) {
        ae_rng r = ae_rng_make(seed, stream);
        float four[4];
        r.counter = (uint64_t)k;
        draw_normals(r, std, four);
        for (int64_t i = 4 * k; i < 4 * k + 4; i++) {
            if (i >= first && i < first + n) out[i - first] = four[i - 4 * k];
        }
    }
}

static void fill_uniform(uint64_t seed, uint64_t stream, double bound, int64_t first, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) {
        ae_rng r = ae_rng_make(seed, stream);
        r.counter = (uint64_t)(first + i);
        out[i] = (float)(bound * (2 * ae_rng_uniform(&r) - 1));
    }
}

static void fill_recurrent(uint64_t seed, uint64_t stream, int64_t first, int64_t n, float *out) {
    for (int64_t i = 0; i < n; i++) {
        ae_rng r = ae_rng_make(seed, stream);
        r.counter = (uint64_t)(first + i);
        out[i] = (float)draw_recurrent(&r);
    }
}

void ae_param_initial_part(const ae_param *p, uint64_t seed, int64_t first, int64_t n, float *out) {
    assert(first >= 0 && n >= 0 && first + n <= p->n);
    const uint64_t stream = ae_rng_hash(seed, p->name);
    switch (p->init) {
    case AE_INIT_NORMAL:
        fill_normals(seed, stream, (float)p->spread, first, n, out);
        break;
    case AE_INIT_RECURRENT:
        fill_recurrent(seed, stream, first, n, out);
        break;
    case AE_INIT_UNIFORM:
        fill_uniform(seed, stream, p->spread, first, n, out);
        break;
    case AE_INIT_ZERO:
        memset(out, 0, (size_t)n * sizeof *out);
        break;
    }
}

void ae_param_initial(const ae_param *p, uint64_t seed, float *out) {
    ae_param_initial_part(p, seed, 0, p->n, out);
}
