#include "model/config.h"
#include "tests/core/scratch.h"

#include <math.h>

static ae_model_keys keys_of(const char *preset) {
    return (ae_model_keys){.preset = (char *)(uintptr_t)preset, .soft_cap = -1, .rope_theta = -1};
}

static ae_model_config resolved(const ae_model_keys *k, int64_t vocab) {
    ae_model_config c;
    cr_assert_eq(ae_model_config_resolve(&c, k, vocab), AE_OK, "%s", ae_error_message());
    return c;
}

#define refused(keys, vocab, part)                                                                           \
    do {                                                                                                     \
        ae_model_config c_;                                                                                  \
        cr_assert_eq(ae_model_config_resolve(&c_, keys, vocab), AE_ERR_USAGE);                               \
        cr_assert_message(part);                                                                             \
    } while (0)

Test(config, every_preset_resolves) {
    for (size_t i = 0; i < ae_n_presets; i++) {
        const ae_model_keys k = keys_of(ae_presets[i].name);
        const ae_model_config c = resolved(&k, 0);
        cr_assert_eq(c.D % c.N, 0, "%s", ae_presets[i].name);
        cr_assert_eq(c.C % c.N, 0);
        cr_assert_eq(c.H, c.D / c.N);
        cr_assert_eq(ae_model_rope_elements(&c), ae_model_is_gemma(&c) ? c.H : c.H / 2);
        cr_assert_eq(ae_model_rope_elements(&c) % 2, 0);
        cr_assert_eq(c.V, ae_presets[i].config.V != 0 ? ae_presets[i].config.V : ae_presets[i].suggested_V);
        cr_assert_eq(resolved(&k, 777).V, 777);
    }
}

Test(config, published_sizes) {
    const ae_model_keys k2 = keys_of("recurrentgemma-2b"), k9 = keys_of("recurrentgemma-9b");
    const ae_model_config a = resolved(&k2, 0), b = resolved(&k9, 0);
    cr_assert(a.D == 2560 && a.C == 2560 && a.E == 7680 && a.N == 10 && a.H == 256 && a.blocks == 26);
    cr_assert(b.D == 4096 && b.C == 4096 && b.E == 12288 && b.N == 16 && b.H == 256 && b.blocks == 38);
    for (ptrdiff_t i = 0; i < b.blocks; i++)
        cr_assert_eq(b.pattern[i], i % 3 == 2 ? AE_ATTENTION : AE_RECURRENT);
    cr_assert(a.W == 2048 && a.K == 4 && a.G == 1 && a.V == 256000 && a.scale_embeddings);
    cr_assert_float_eq(a.soft_cap, 30, 0);
    const ae_model_keys kh = keys_of("hawk-7b"), kg = keys_of("griffin-7b");
    const ae_model_config h = resolved(&kh, 0), g = resolved(&kg, 0);
    for (ptrdiff_t i = 0; i < AE_BLOCKS_MAX; i++) cr_assert_eq(h.pattern[i], AE_RECURRENT);
    cr_assert(g.C == 5632 && g.E == 12288 && g.N == 32 && g.W == 1024 && !g.scale_embeddings);
    cr_assert_float_eq(g.soft_cap, 0, 0);
}

/* What differs from RecurrentGemma, by preset and by key. */
Test(config, shapes_of_gemma) {
    ae_model_keys k = keys_of("gemma-2b");
    ae_model_config c = resolved(&k, 0);
    cr_assert(c.D == 2048 && c.E == 16384 && c.N == 8 && c.G == 1 && c.H == 256 && c.blocks == 18);
    cr_assert(c.V == 256000 && c.W < 0 && ae_model_is_gemma(&c) && c.scale_embeddings && !c.scale_exact);
    cr_assert_float_eq(ae_model_embedding_scale(&c), 45.25, 0);
    cr_assert_float_eq(c.soft_cap, 0, 0);
    for (ptrdiff_t i = 0; i < AE_BLOCKS_MAX; i++) cr_assert_eq(c.pattern[i], AE_ATTENTION);
    k.scale_embeddings = 3;
    c = resolved(&k, 0);
    cr_assert(c.scale_embeddings && c.scale_exact);
    cr_assert_float_eq(ae_model_embedding_scale(&c), sqrtf(2048), 0);
    k.biases = 1;
    c = resolved(&k, 0);
    cr_assert_not(ae_model_is_gemma(&c));
    k = keys_of("small-1m");
    k.window = -1;
    k.pattern = (char *)(uintptr_t) "a";
    k.rope_share = 1;
    k.biases = 2;
    c = resolved(&k, 0);
    cr_assert(ae_model_is_gemma(&c));
    cr_assert_eq(ae_model_rope_elements(&c), c.H);
    k.rope_share = 0.01;
    refused(&k, 0, "model.partial_rotary_factor");
}

/* Models without the flags are what they were; a twin that differs in one is another shape. */
Test(config, flags_of_gemma_are_kept) {
    const ae_model_keys k = keys_of("baseline-25m"), usual = keys_of("small-1m");
    const ae_model_config c = resolved(&k, 0), old = resolved(&usual, 0);
    char *text = NULL;
    ae_model_config back;
    cr_assert_eq(ae_model_config_to_json(&old, &text), AE_OK);
    cr_assert_null(strstr(text, "biases"));
    cr_assert_null(strstr(text, "scale_exact"));
    free(text);
    cr_assert_eq(ae_model_config_to_json(&c, &text), AE_OK);
    cr_assert_eq(ae_model_config_from_json(&back, text, "model.json"), AE_OK, "%s", ae_error_message());
    cr_assert(back.no_biases && back.scale_exact && ae_model_is_gemma(&back));
    cr_assert_eq(ae_model_config_agree(&back, "a", &c, "b"), AE_OK);
    back.no_biases = false;
    cr_assert_eq(ae_model_config_agree(&back, "a", &c, "b"), AE_ERR_INPUT);
    cr_assert_message("biases: expected no as in b, found yes");
    back.no_biases = true;
    back.scale_exact = false;
    cr_assert_eq(ae_model_config_agree(&back, "a", &c, "b"), AE_ERR_INPUT);
    cr_assert_message("scale_exact");
    free(text);
}

Test(config, unknown_preset_is_guessed) {
    const ae_model_keys near = keys_of("smal-5m"), far = keys_of("zzzzzzzzzz");
    refused(&near, 0, "small-5m");
    refused(&far, 0, "model.preset");
}

Test(config, sizes_follow_the_width) {
    ae_model_keys k = keys_of("s5");
    k.width = 128;
    ae_model_config c = resolved(&k, 100);
    cr_assert(c.D == 128 && c.C == 128 && c.E == 384 && c.H == 32 && c.N == 4);
    k.recurrent_width = 192;
    k.mlp_width = 200;
    k.heads = 2;
    k.head_size = 40;
    k.window = -1;
    k.taps = 2;
    k.blocks = 7;
    k.soft_cap = 0;
    k.rope_theta = 500;
    k.scale_embeddings = 2;
    k.pattern = (char[]){"ra"};
    c = resolved(&k, 100);
    cr_assert(c.C == 192 && c.E == 200 && c.N == 2 && c.H == 40 && c.W == -1 && c.K == 2 && c.blocks == 7);
    cr_assert(!c.scale_embeddings);
    cr_assert_float_eq(c.soft_cap, 0, 0);
    cr_assert_float_eq(c.rope_theta, 500, 0);
    for (ptrdiff_t i = 0; i < 7; i++) cr_assert_eq(c.pattern[i], i % 2 == 1 ? AE_ATTENTION : AE_RECURRENT);
}

Test(config, without_a_preset) {
    ae_model_keys k = keys_of("");
    refused(&k, 50, "model.preset");
    k.width = 64;
    refused(&k, 50, "model.blocks");
    k.blocks = 4;
    refused(&k, 50, "model.heads");
    k.heads = 4;
    const ae_model_config c = resolved(&k, 50);
    cr_assert(c.D == 64 && c.C == 64 && c.E == 192 && c.H == 16 && c.G == 1 && c.V == 50);
    cr_assert_eq(c.pattern[2], AE_ATTENTION);
    cr_assert_eq(c.pattern[3], AE_RECURRENT);
    refused(&k, 0, "model.vocab");
}

Test(config, vocabulary_is_the_token_sets) {
    ae_model_keys k = keys_of("s5");
    k.vocab = 99;
    refused(&k, 100, "model.vocab");
    k.vocab = 128;
    cr_assert_eq(resolved(&k, 100).V, 128);
    k.vocab = 0;
    cr_assert_eq(resolved(&k, 100).V, 100);
}

Test(config, wrong_keys_are_named) {
    ae_model_keys k = keys_of("s5");
    k.pattern = (char[]){"rxa"};
    refused(&k, 0, "model.pattern");
    k = keys_of("s5");
    k.heads = 3;
    refused(&k, 0, "model.heads");
    k = keys_of("s5");
    k.recurrent_width = 90;
    refused(&k, 0, "model.recurrent_width");
    k = keys_of("s5");
    k.key_heads = 3;
    refused(&k, 0, "model.key_heads");
    k = keys_of("s5");
    k.head_size = 7;
    refused(&k, 0, "model.head_size");
    k = keys_of("s5");
    k.head_size = 6;
    refused(&k, 0, "partial_rotary_factor");
}

Test(config, keys_through_the_field_table) {
    ae_model_keys k;
    ae_config table = {0};
    cr_assert_eq(ae_config_add(&table, "model", ae_model_fields, ae_model_n_fields, &k), AE_OK, "%s",
                 ae_error_message());
    cr_assert_eq(ae_config_set(&table, "model.preset=s23", "test"), AE_OK);
    const ae_model_config plain = resolved(&k, 0);
    cr_assert(plain.D == 512 && plain.W == 512 && plain.scale_embeddings);
    cr_assert_float_eq(plain.soft_cap, 30, 0);
    cr_assert_eq(ae_config_set(&table, "model.scale_embeddings=no", "test"), AE_OK, "%s", ae_error_message());
    cr_assert_eq(ae_config_set(&table, "model.window=64", "test"), AE_OK);
    const ae_model_config changed = resolved(&k, 0);
    cr_assert(!changed.scale_embeddings && changed.W == 64);
    cr_assert_eq(ae_config_set(&table, "model.blocks=257", "test"), AE_ERR_USAGE);
    ae_config_free(&table);
}

/* ---- the native form ---- */

Test(config, json_comes_back_the_same) {
    for (size_t i = 0; i < ae_n_presets; i++) {
        ae_model_keys k = keys_of(ae_presets[i].name);
        const ae_model_config c = resolved(&k, 1234);
        ae_model_config back;
        char *text = NULL;
        cr_assert_eq(ae_model_config_to_json(&c, &text), AE_OK);
        cr_assert_eq(ae_model_config_from_json(&back, text, "here"), AE_OK, "%s", ae_error_message());
        cr_assert(back.V == c.V && back.D == c.D && back.C == c.C && back.E == c.E && back.N == c.N);
        cr_assert(back.G == c.G && back.H == c.H && back.W == c.W && back.K == c.K &&
                  back.blocks == c.blocks);
        cr_assert_arr_eq(back.pattern, c.pattern, (size_t)c.blocks);
        cr_assert_float_eq(back.rope_theta, c.rope_theta, 0);
        cr_assert_float_eq(back.rope_share, c.rope_share, 0);
        cr_assert_float_eq(back.norm_eps, c.norm_eps, 0);
        cr_assert_float_eq(back.soft_cap, c.soft_cap, 0);
        cr_assert_eq(back.scale_embeddings, c.scale_embeddings);
        free(text);
    }
}

Test(config, scale_of_rewards_comes_back) {
    ae_model_keys k = keys_of("small-1m");
    ae_model_config c = resolved(&k, 1234), back;
    char *text = NULL;
    c.reward_shift = -1.0 / 3;
    c.reward_std = 0.1;
    cr_assert_eq(ae_model_config_to_json(&c, &text), AE_OK);
    cr_assert_eq(ae_model_config_from_json(&back, text, "here"), AE_OK, "%s", ae_error_message());
    cr_assert(back.reward_shift == c.reward_shift && back.reward_std == c.reward_std);
    free(text);
    c.reward_std = 0; /* not known: nothing is written */
    cr_assert_eq(ae_model_config_to_json(&c, &text), AE_OK);
    cr_assert_null(strstr(text, "reward"));
    free(text);
}

static const char native[] =
    "{\"vocab\": 64, \"width\": 32, \"recurrent_width\": 48, \"mlp_width\": 96, \"heads\": 4,"
    " \"key_heads\": 1, \"head_size\": 8, \"window\": 8, \"taps\": 4, \"blocks\": 3, \"rope_theta\": 10000.0,"
    " \"rope_share\": 0.5, \"norm_eps\": 1e-6, \"soft_cap\": 30.0, \"pattern\": \"rra\","
    " \"scale_embeddings\": true}";

/* The text with its first `from` replaced. */
static char *changed(const char *from, const char *to) {
    static char text[1024];
    const char *at = strstr(native, from);
    cr_assert_not_null(at, "%s", from);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - native), native, to, at + strlen(from));
    return text;
}

Test(config, native_json_is_checked) {
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {"\"vocab\": 64", "\"vocab\": 0", "vocab"},
        {"\"vocab\": 64", "\"vocab\": 1e18", "vocab"},
        {"\"vocab\": 64", "\"vocab\": \"64\"", "vocab"},
        {"\"vocab\": 64, ", "", "vocab"},
        {"\"width\": 32", "\"width\": -32", "width"},
        {"\"width\": 32", "\"width\": 9223372036854775807", "width"},
        {"\"heads\": 4", "\"heads\": 0", "heads"},
        {"\"heads\": 4", "\"heads\": 5", "recurrent_width"},
        {"\"window\": 8", "\"window\": 0", "window"},
        {"\"blocks\": 3", "\"blocks\": 300", "blocks"},
        {"\"blocks\": 3", "\"blocks\": 4", "pattern"},
        {"\"rra\"", "\"rrb\"", "pattern"},
        {"\"rra\"", "7", "pattern"},
        {"\"rope_share\": 0.5", "\"rope_share\": 1.5", "partial_rotary_factor"},
        {"\"norm_eps\": 1e-6", "\"norm_eps\": -1", "epsilon"},
        {"\"soft_cap\": 30.0", "\"soft_cap\": -3", "soft_cap"},
        {"true", "1", "scale_embeddings"},
        {"true", "true, \"reward_shift\": 1.0, \"reward_std\": 0.0", "reward_std"},
        {"true", "true, \"reward_std\": 1.0", "reward_shift"},
        {"{", "[", "JSON"},
    };
    ae_model_config c;
    cr_assert_eq(ae_model_config_from_json(&c, native, "here"), AE_OK, "%s", ae_error_message());
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *text = changed(cases[i].from, cases[i].to);
        cr_assert_eq(ae_model_config_from_json(&c, text, "here"), AE_ERR_INPUT, "%s", text);
        cr_assert_message(cases[i].says);
        cr_assert_message("here");
    }
    cr_assert_eq(ae_model_config_from_json(&c, "[1]", "here"), AE_ERR_INPUT);
}

/* ---- what follows from a shape ---- */

Test(config, embedding_scale_is_rounded_to_bfloat16) {
    ae_model_config c = {.D = 2560, .scale_embeddings = true};
    cr_assert_float_eq(ae_model_embedding_scale(&c), 50.5f, 0);
    c.D = 4096;
    cr_assert_float_eq(ae_model_embedding_scale(&c), 64, 0);
    c.D = 32;
    cr_assert_float_eq(ae_model_embedding_scale(&c), 5.65625f, 0);
    c.scale_embeddings = false;
    cr_assert_float_eq(ae_model_embedding_scale(&c), 1, 0);
}

/* The yardsticks' own formula, keys counted one by one. */
static double yardstick_flops(double D, double E, double N, int L, int W, double V, int T) {
    const int att = L / 3, rec = L - att;
    const double H = D / N;
    double keys = 0;
    for (int t = 0; t < T; t++) keys += (t < W ? t : W) + 1;
    keys /= T;
    const double mm =
        L * 3 * D * E + rec * (3 * D * D + 2 * D * D / N) + att * (2 * D * D + 2 * D * H) + V * D;
    return 6 * mm + att * 12 * keys * D;
}

Test(config, flops_per_token) {
    const ae_model_keys k23 = keys_of("s23"), k100 = keys_of("s100");
    const ae_model_config a = resolved(&k23, 0), b = resolved(&k100, 0);
    const double want = yardstick_flops(512, 1536, 8, 6, 512, 8192, 2048);
    cr_assert_float_eq(ae_model_flops_per_token(&a, 2048, false), want, 1e-9 * want);
    cr_assert_float_eq(ae_model_flops_per_token(&a, 2048, true), want / 3, 1e-9 * want);
    cr_assert_float_eq(ae_model_flops_per_token(&a, 100, false),
                       yardstick_flops(512, 1536, 8, 6, 512, 8192, 100), 1e-9 * want);
    const double big = yardstick_flops(768, 2304, 6, 12, 1024, 16384, 8192);
    cr_assert_float_eq(ae_model_flops_per_token(&b, 8192, false), big, 1e-9 * big);
    ae_model_config open = a;
    open.W = -1;
    cr_assert_float_eq(ae_model_flops_per_token(&open, 700, false),
                       yardstick_flops(512, 1536, 8, 6, 700, 8192, 700), 1e-9 * want);
}
