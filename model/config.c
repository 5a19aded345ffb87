#include "model/config.h"

#include "model/config_check.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A resumed run compares the whole shape, which the keys lead to. */
#define SHAPE (AE_KEY_FIXED | AE_KEY_FINAL | AE_KEY_DERIVED)
#define SIZE(key, member, help)                                                                              \
    { key, AE_FIELD_INT, offsetof(ae_model_keys, member), "0", 0, AE_WIDTH_MAX, NULL, help, SHAPE }

const ae_field ae_model_fields[] = {
    {"preset", AE_FIELD_TEXT, offsetof(ae_model_keys, preset), "", 0, 0, NULL,
     "shape to start from (README lists them); empty: every size is given by its own key", SHAPE},
    {"init", AE_FIELD_TEXT, offsetof(ae_model_keys, init), "", 0, 0, NULL,
     "model to start from: Hugging Face folder, checkpoint or run; brings its shape and tokenizer",
     AE_KEY_FIXED | AE_KEY_FINAL | AE_KEY_PLACE | AE_KEY_START},
    {"vocab", AE_FIELD_INT, offsetof(ae_model_keys, vocab), "0", 0, INT32_MAX, NULL,
     "V, rows of the embedding table; 0: the token set's", SHAPE},
    SIZE("width", width, "D, width of the residual stream; 0: the preset's"),
    SIZE("recurrent_width", recurrent_width,
         "C, width of the recurrence; 0: the preset's, following the width"),
    SIZE("mlp_width", mlp_width, "E, width of the MLP; 0: the preset's, following the width"),
    SIZE("heads", heads, "N, query heads and gate blocks; 0: the preset's"),
    SIZE("key_heads", key_heads, "G, key and value heads; 0: the preset's"),
    SIZE("head_size", head_size, "H; 0: the preset's, or width / heads where one of them is given"),
    {"window", AE_FIELD_INT, offsetof(ae_model_keys, window), "0", -1, AE_WINDOW_MAX, NULL,
     "W, keys that a query sees before itself; -1: all; 0: the preset's", SHAPE},
    {"taps", AE_FIELD_INT, offsetof(ae_model_keys, taps), "0", 0, AE_TAPS_MAX, NULL,
     "K, taps of the convolution; 0: the preset's", SHAPE},
    {"blocks", AE_FIELD_INT, offsetof(ae_model_keys, blocks), "0", 0, AE_BLOCKS_MAX, NULL,
     "residual blocks; 0: the preset's", SHAPE},
    {"pattern", AE_FIELD_TEXT, offsetof(ae_model_keys, pattern), "", 0, 0, NULL,
     "r (recurrent) and a (attention), repeated over the blocks; empty: the preset's", SHAPE},
    {"soft_cap", AE_FIELD_REAL, offsetof(ae_model_keys, soft_cap), "-1", -1, 1e6, NULL,
     "cap of the logits; 0: none; -1: the preset's", SHAPE},
    {"rope_theta", AE_FIELD_REAL, offsetof(ae_model_keys, rope_theta), "-1", -1, 1e12, NULL,
     "base of the rotary angles; -1: the preset's", SHAPE},
    {"scale_embeddings", AE_FIELD_CHOICE, offsetof(ae_model_keys, scale_embeddings), "preset", 0, 0,
     "preset|yes|no|exact", "whether embeddings are scaled by sqrt(width), yes: rounded to bfloat16", SHAPE},
    {"partial_rotary_factor", AE_FIELD_REAL, offsetof(ae_model_keys, rope_share), "0", 0, 1, NULL,
     "share of a head that is rotated; 0: the preset's", SHAPE},
    {"biases", AE_FIELD_CHOICE, offsetof(ae_model_keys, biases), "preset", 0, 0, "preset|yes|no",
     "whether projections have biases; those of q, k and v never do", SHAPE},
};
const size_t ae_model_n_fields = sizeof ae_model_fields / sizeof *ae_model_fields;

static const ae_size_names key_names = {
    .V = "model.vocab",
    .D = "model.width",
    .C = "model.recurrent_width",
    .E = "model.mlp_width",
    .N = "model.heads",
    .G = "model.key_heads",
    .H = "model.head_size",
    .W = "model.window",
    .K = "model.taps",
    .blocks = "model.blocks",
    .rope_theta = "model.rope_theta",
    .rope_share = "model.partial_rotary_factor",
    .norm_eps = "the epsilon of the norms",
    .soft_cap = "model.soft_cap",
};

static const ae_preset *find_preset(const char *name) {
    for (size_t i = 0; i < ae_n_presets; i++) {
        if (strcmp(ae_presets[i].name, name) == 0) return &ae_presets[i];
    }
    return NULL;
}

static ae_status unknown_preset(const char *name) {
    enum { MAX = 64 };
    const char *names[MAX] = {0};
    size_t n = 0;
    for (; n < ae_n_presets && n < MAX; n++) names[n] = ae_presets[n].name;
    const char *near = ae_nearest_word(name, names, n);
    if (near != NULL)
        return AE_FAIL(AE_ERR_USAGE, "model.preset: found \"%s\", did you mean \"%s\"?", name, near);
    char all[1024] = "";
    for (size_t i = 0, used = 0; i < n && used < sizeof all; i++)
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i > 0 ? ", " : "", names[i]);
    return AE_FAIL(AE_ERR_USAGE, "model.preset: expected one of %s, found \"%s\"", all, name);
}

/* Without a preset: the proportions of the family, sizes to be given. */
static const ae_preset bare = {.name = "",
                               .config = {.G = 1,
                                          .W = 2048,
                                          .K = 4,
                                          .pattern = {AE_RECURRENT, AE_RECURRENT, AE_ATTENTION},
                                          .rope_theta = 10000,
                                          .rope_share = 0.5,
                                          .norm_eps = 1e-6,
                                          .soft_cap = 30,
                                          .scale_embeddings = true}};

static void repeat_pattern(unsigned char *pattern, size_t period) {
    for (size_t i = period; i < AE_BLOCKS_MAX; i++) pattern[i] = pattern[i - period];
}

static ae_status set_pattern(ae_model_config *c, const char *text) {
    size_t n = strlen(text);
    if (n > AE_BLOCKS_MAX)
        return AE_FAIL(AE_ERR_USAGE, "model.pattern: expected at most %d letters, found %zu", AE_BLOCKS_MAX,
                       n);
    for (size_t i = 0; i < n; i++) {
        if (text[i] != 'r' && text[i] != 'a')
            return AE_FAIL(AE_ERR_USAGE,
                           "model.pattern: expected letters r (recurrent) and a (attention), found \"%s\"",
                           text);
        c->pattern[i] = text[i] == 'a' ? AE_ATTENTION : AE_RECURRENT;
    }
    if (n > 0) repeat_pattern(c->pattern, n);
    return AE_OK;
}

static void take(ptrdiff_t *size, int64_t key) {
    if (key != 0) *size = (ptrdiff_t)key;
}

/* A size that follows the width in the preset follows it under a new width too. */
static void set_sizes(ae_model_config *c, const ae_model_keys *k) {
    const bool equal = c->C == c->D;
    const ptrdiff_t mlp_ratio = c->D > 0 && c->E % c->D == 0 ? c->E / c->D : 0;
    take(&c->D, k->width);
    take(&c->N, k->heads);
    if (k->width != 0 && equal) c->C = c->D;
    if (k->width != 0) c->E = c->E == 0 ? 3 * c->D : mlp_ratio > 0 ? mlp_ratio * c->D : c->E;
    if ((k->width != 0 || k->heads != 0) && c->N > 0) c->H = c->D / c->N;
    take(&c->C, k->recurrent_width);
    take(&c->E, k->mlp_width);
    take(&c->G, k->key_heads);
    take(&c->H, k->head_size);
    take(&c->W, k->window);
    take(&c->K, k->taps);
    take(&c->blocks, k->blocks);
    if (k->soft_cap >= 0) c->soft_cap = k->soft_cap;
    if (k->rope_theta >= 0) c->rope_theta = k->rope_theta;
    if (k->rope_share > 0) c->rope_share = k->rope_share;
    if (k->biases != 0) c->no_biases = k->biases == 2;
    if (k->scale_embeddings != 0) {
        c->scale_embeddings = k->scale_embeddings != 2;
        c->scale_exact = k->scale_embeddings == 3;
    }
}

static ae_status set_vocab(ae_model_config *c, const ae_preset *p, int64_t key, int64_t token_set) {
    if (key != 0 && key < token_set)
        return AE_FAIL(AE_ERR_USAGE,
                       "model.vocab: expected at least the token set's %lld, found %lld; leave the key out",
                       (long long)token_set, (long long)key);
    if (token_set != 0) c->V = (ptrdiff_t)token_set;
    if (c->V == 0) c->V = p->suggested_V;
    take(&c->V, key);
    return AE_OK;
}

static bool has_kind(const ae_model_config *c, ae_block_kind kind) {
    for (ptrdiff_t i = 0; i < c->blocks; i++) {
        if (c->pattern[i] == kind) return true;
    }
    return false;
}

/* Attention turns an even number of a head's elements. */
static bool can_turn(const ae_model_config *c, ptrdiff_t H) {
    const ptrdiff_t R = (ptrdiff_t)((double)H * c->rope_share);
    return H % 2 == 0 && R >= 2 && R % 2 == 0;
}

/* Sizes given without `head_size` must divide, and leave heads that attention can turn; with it the key that
 * is at fault is that one. */
static ae_status check_division(const ae_model_config *c, const ae_model_keys *k) {
    ptrdiff_t step = 2;
    if (k->head_size != 0 || c->N <= 0 || (k->width == 0 && k->heads == 0)) return AE_OK;
    if (c->D % c->N != 0)
        return AE_FAIL(AE_ERR_USAGE, "model.heads: expected a divisor of the width %td, found %td", c->D,
                       c->N);
    if (c->H < 1 || !has_kind(c, AE_ATTENTION) || can_turn(c, c->H)) return AE_OK;
    while (step < c->D && !can_turn(c, step)) step += 2;
    return AE_FAIL(
        AE_ERR_USAGE,
        "model.width: expected a multiple of %td with model.heads=%td, since attention turns an even "
        "number of a head's elements (the rotated share is %g), found %td",
        step * c->N, c->N, c->rope_share, c->D);
}

ae_status ae_model_config_resolve(ae_model_config *c, const ae_model_keys *keys, int64_t token_set_vocab) {
    const bool named = keys->preset != NULL && keys->preset[0] != '\0';
    const ae_preset *p = named ? find_preset(keys->preset) : &bare;
    if (p == NULL) return unknown_preset(keys->preset);
    *c = p->config;
    if (!named) repeat_pattern(c->pattern, 3);
    ae_status st = keys->pattern != NULL ? set_pattern(c, keys->pattern) : AE_OK;
    if (st == AE_OK) st = set_vocab(c, p, keys->vocab, token_set_vocab);
    if (st != AE_OK) return st;
    if (!named && keys->width == 0)
        return AE_FAIL(AE_ERR_USAGE, "model.preset: expected a preset, or model.width and the other sizes, "
                                     "found neither");
    set_sizes(c, keys);
    st = check_division(c, keys);
    if (st == AE_OK) st = ae_model_config_check(c, named ? keys->preset : "the model's keys");
    return st == AE_ERR_INPUT ? AE_ERR_USAGE : st;
}

/* ---- ranges ---- */

typedef struct {
    const char *field;
    ptrdiff_t value, low, high;
} size_range;

static ae_status check_ranges(const size_range *r, size_t n, const char *where) {
    for (size_t i = 0; i < n; i++) {
        if (r[i].value < r[i].low || r[i].value > r[i].high)
            return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %td to %td, found %td", where, r[i].field,
                           r[i].low, r[i].high, r[i].value);
    }
    return AE_OK;
}

static ae_status check_real(double x, double low, double high, const char *where, const char *field) {
    if (x >= low && x <= high) return AE_OK; /* false for NaN */
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected %g to %g, found %g", where, field, low, high, x);
}

static ae_status check_recurrent(const ae_model_config *c, const char *where, const ae_size_names *f) {
    const size_range ranges[] = {{f->C, c->C, 1, AE_WIDTH_MAX}, {f->K, c->K, 1, AE_TAPS_MAX}};
    ae_status st = check_ranges(ranges, sizeof ranges / sizeof *ranges, where);
    if (st != AE_OK || c->C % c->N == 0) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a multiple of %s, which is %td, found %td", where, f->C,
                   f->N, c->N, c->C);
}

static ae_status check_attention(const ae_model_config *c, const char *where, const ae_size_names *f) {
    const size_range ranges[] = {
        {f->G, c->G, 1, AE_WIDTH_MAX}, {f->H, c->H, 2, AE_WIDTH_MAX / c->N}, {f->W, c->W, -1, AE_WINDOW_MAX}};
    ae_status st;
    AE_TRY(check_ranges(ranges, sizeof ranges / sizeof *ranges, where));
    AE_TRY(check_real(c->rope_theta, 1e-3, 1e12, where, f->rope_theta));
    AE_TRY(check_real(c->rope_share, 0, 1, where, f->rope_share));
    if (c->W == 0) return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected at least 1, found 0", where, f->W);
    if (c->N % c->G != 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected a divisor of %s, which is %td, found %td", where, f->G,
                       f->N, c->N, c->G);
    if (c->H % 2 != 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: %s: expected an even size, found %td", where, f->H, c->H);
    const ptrdiff_t R = (ptrdiff_t)((double)c->H * c->rope_share);
    if (!can_turn(c, c->H))
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: %s: expected to turn an even number of a head's %td elements, found %td", where,
                       f->rope_share, c->H, R);
out:
    return st;
}

ae_status ae_model_config_check_named(const ae_model_config *c, const char *where, const ae_size_names *f) {
    const size_range ranges[] = {
        {f->V, c->V, 1, INT32_MAX},    {f->D, c->D, 1, AE_WIDTH_MAX},
        {f->E, c->E, 1, AE_WIDTH_MAX}, {f->blocks, c->blocks, 1, AE_BLOCKS_MAX},
        {f->N, c->N, 1, 65536},
    };
    ae_status st;
    AE_TRY(check_ranges(ranges, sizeof ranges / sizeof *ranges, where));
    AE_TRY(check_real(c->norm_eps, 1e-30, 1, where, f->norm_eps));
    AE_TRY(check_real(c->soft_cap, 0, 1e6, where, f->soft_cap));
    if (has_kind(c, AE_RECURRENT)) AE_TRY(check_recurrent(c, where, f));
    if (has_kind(c, AE_ATTENTION)) AE_TRY(check_attention(c, where, f));
out:
    return st;
}

bool ae_model_config_add_end(ae_model_config *c, int32_t id) {
    for (ptrdiff_t i = 0; i < c->n_ends; i++)
        if (c->ends[i] == id) return true;
    if (c->n_ends == AE_ENDS_MAX) return false;
    c->ends[c->n_ends++] = id;
    return true;
}

ae_status ae_model_config_check(const ae_model_config *c, const char *where) {
    return ae_model_config_check_named(c, where, &key_names);
}

/* ---- what follows from a shape ---- */

bool ae_model_is_gemma(const ae_model_config *c) {
    return c->no_biases && c->W < 0 && !has_kind(c, AE_RECURRENT);
}

float ae_model_embedding_scale(const ae_model_config *c) {
    if (!c->scale_embeddings) return 1.0f;
    const float root = (float)sqrt((double)c->D);
    if (c->scale_exact) return root;
    uint32_t bits;
    memcpy(&bits, &root, sizeof bits);
    bits = (bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u; /* to nearest, ties to even */
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

ptrdiff_t ae_model_rope_elements(const ae_model_config *c) {
    return (ptrdiff_t)((double)c->H * c->rope_share) / 2 * 2;
}

/* Mean over the T places of a row of the keys that each sees. */
static double mean_keys(const ae_model_config *c, ptrdiff_t T) {
    const double t = (double)T, w = (double)(c->W < 0 ? T : ae_min(c->W, T));
    return (w * (w + 1) / 2 + (t - w) * (w + 1)) / t;
}

double ae_model_flops_per_token(const ae_model_config *c, ptrdiff_t T, bool forward_only) {
    const double D = (double)c->D, C = (double)c->C, heads = (double)(c->N * c->H);
    double products = (double)c->V * D, scores = 0;
    for (ptrdiff_t i = 0; i < c->blocks; i++) {
        products += 3 * D * (double)c->E;
        if (c->pattern[i] == AE_RECURRENT) {
            products += 3 * D * C + 2 * C * C / (double)c->N;
        } else {
            products += 2 * D * heads + 2 * D * (double)(c->G * c->H);
            scores += 2 * mean_keys(c, T) * heads;
        }
    }
    return (forward_only ? 2 : 6) * (products + scores);
}
