#include "core/rng.h"
#include "exchange/hf_config.h"
#include "formats/tensors.h"
#include "model/params.h"
#include "tests/core/scratch.h"

#include <math.h>

static ae_model_config preset(const char *name) {
    for (size_t i = 0; i < ae_n_presets; i++) {
        if (strcmp(ae_presets[i].name, name) != 0) continue;
        ae_model_config c = ae_presets[i].config;
        if (c.V == 0) c.V = ae_presets[i].suggested_V;
        return c;
    }
    cr_assert_fail("no preset %s", name);
    return (ae_model_config){0};
}

static int64_t count(const char *name) {
    const ae_model_config c = preset(name);
    ae_params p;
    cr_assert_eq(ae_params_init(&p, &c), AE_OK);
    const int64_t total = p.total;
    ae_params_free(&p);
    return total;
}

Test(params, published_counts) {
    cr_assert_float_eq((double)count("recurrentgemma-2b") / 1e9, 2.68, 0.005);
    cr_assert_float_eq((double)count("recurrentgemma-9b") / 1e9, 8.58, 0.005);
    cr_assert_float_eq((double)count("gemma-2b") / 1e9, 2.506, 0.0005);
    cr_assert_float_eq((double)(256000 * 2560) / 1e9, 0.66, 0.005);
}

Test(params, ladder_counts) {
    static const struct {
        const char *name;
        double millions;
    } ladder[] = {
        {"small-1m", 1}, {"small-5m", 5}, {"small-25m", 25}, {"small-100m", 100}, {"small-400m", 400}};
    for (size_t i = 0; i < sizeof ladder / sizeof *ladder; i++) {
        const double found = (double)count(ladder[i].name) / 1e6;
        cr_assert(found > 0.85 * ladder[i].millions && found < 1.15 * ladder[i].millions, "%s: %g M",
                  ladder[i].name, found);
    }
}

Test(params, twins_are_of_one_size) {
    cr_assert_float_eq((double)count("baseline-25m") / (double)count("small-25m"), 1, 0.005);
    cr_assert_float_eq((double)count("baseline-100m") / (double)count("small-100m"), 1, 0.005);
}

/* The names and shapes of a real checkpoint, neither more nor fewer. */
Test(params, table_is_the_layout_of_checkpoints) {
    static const char *const fixtures[] = {"tiny", "window", "hawk", "attention", "gemma"};
    for (size_t f = 0; f < 5; f++) {
        char path[512];
        ae_model_config c;
        ae_params p;
        ae_tensors *t;
        snprintf(path, sizeof path, "%s/%s/config.json", AERIE_FIXTURES, fixtures[f]);
        cr_assert_eq(ae_model_config_from_hf(&c, path), AE_OK, "%s", ae_error_message());
        cr_assert_eq(ae_params_init(&p, &c), AE_OK);
        snprintf(path, sizeof path, "%s/%s", AERIE_FIXTURES, fixtures[f]);
        cr_assert_eq(ae_tensors_open(&t, path), AE_OK, "%s", ae_error_message());
        cr_assert_eq(ae_tensors_count(t), p.n);
        for (ptrdiff_t i = 0; i < p.n; i++) {
            float *values = malloc((size_t)p.items[i].n * sizeof *values);
            cr_assert_eq(ae_tensors_read(t, p.items[i].name, p.items[i].rank, p.items[i].shape, values),
                         AE_OK, "%s", ae_error_message());
            free(values);
        }
        ae_tensors_close(t);
        ae_params_free(&p);
    }
}

static bool ends(const char *name, const char *with) {
    const size_t n = strlen(name), m = strlen(with);
    return n >= m && strcmp(name + n - m, with) == 0;
}

Test(params, decay_and_products) {
    const ae_model_config c = preset("s5");
    ae_params p;
    cr_assert_eq(ae_params_init(&p, &c), AE_OK);
    int64_t padded = 0, total = 0;
    for (ptrdiff_t i = 0; i < p.n; i++) {
        const ae_param *x = &p.items[i];
        const bool lru = strstr(x->name, "rg_lru") != NULL, norm = strstr(x->name, "norm") != NULL;
        const bool free_of_decay = lru || norm || strstr(x->name, "embed") != NULL || ends(x->name, "bias");
        cr_assert_eq(x->decays, !free_of_decay, "%s", x->name);
        const bool gate = ends(x->name, "gate_weight");
        const bool product = gate || (ends(x->name, ".weight") && !norm && strstr(x->name, "conv") == NULL);
        cr_assert_eq(x->product, product, "%s", x->name);
        if (product) cr_assert_eq(x->rows * x->cols, x->n, "%s", x->name);
        cr_assert(x->trainable);
        padded += (x->n + 15) / 16 * 16;
        total += x->n;
        cr_assert_eq(ae_params_find(&p, x->name), x);
    }
    cr_assert_eq(p.total, total);
    cr_assert_eq(ae_params_padded_elements(&p, true), padded);
    cr_assert_eq(ae_params_padded_elements(&p, false), padded);
    cr_assert_null(ae_params_find(&p, "model.layers.0.temporal_block.q_proj.weight"));
    ae_params_free(&p);
}

/* ---- initial values ---- */

static float *initial(const ae_param *p, uint64_t seed) {
    float *x = malloc((size_t)p->n * sizeof *x);
    cr_assert_not_null(x);
    ae_param_initial(p, seed, x);
    return x;
}

static double std_of(const float *x, int64_t n) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i], squares += (double)x[i] * (double)x[i];
    cr_assert(fabs(sum / (double)n) < 5 * sqrt(squares / (double)n) / sqrt((double)n) + 1e-12);
    return sqrt(squares / (double)n);
}

Test(params, initial_spread) {
    const ae_model_config c = preset("s5"); /* D = C = 256, E = 768, N = 4, H = 64, 6 blocks, K = 4 */
    static const struct {
        const char *name;
        double variance;
    } cases[] = {
        {"model.embed_tokens.weight", 1.0 / 256},
        {"model.layers.2.temporal_block.q_proj.weight", 1.0 / 256},
        {"model.layers.2.temporal_block.k_proj.weight", 1.0 / 256},
        {"model.layers.2.temporal_block.v_proj.weight", 1.0 / 256},
        {"model.layers.2.temporal_block.o_proj.weight", 2.0 / 6 / 256},
        {"model.layers.0.temporal_block.linear_x.weight", 1.0 / 256},
        {"model.layers.0.temporal_block.linear_y.weight", 1.0 / 256},
        {"model.layers.0.temporal_block.linear_out.weight", 2.0 / 6 / 256},
        {"model.layers.0.temporal_block.conv_1d.weight", 0.01 / 4},
        {"model.layers.0.temporal_block.rg_lru.input_gate_weight", 1.0 / 64},
        {"model.layers.0.temporal_block.rg_lru.recurrent_gate_weight", 1.0 / 64},
        {"model.layers.5.mlp_block.gate_proj.weight", 1.0 / 256},
        {"model.layers.5.mlp_block.up_proj.weight", 1.0 / 256},
        {"model.layers.5.mlp_block.down_proj.weight", 2.0 / 6 / 768},
    };
    ae_params p;
    cr_assert_eq(ae_params_init(&p, &c), AE_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ae_param *x = ae_params_find(&p, cases[i].name);
        cr_assert_not_null(x, "%s", cases[i].name);
        float *values = initial(x, 1);
        const double ratio = std_of(values, x->n) / sqrt(cases[i].variance);
        cr_assert(fabs(ratio - 1) < 5 / sqrt(2.0 * (double)x->n), "%s: %g", cases[i].name, ratio);
        free(values);
    }
    ae_params_free(&p);
}

Test(params, zeros_and_recurrence) {
    const ae_model_config c = preset("s100");
    ae_params p;
    cr_assert_eq(ae_params_init(&p, &c), AE_OK);
    for (ptrdiff_t i = 0; i < p.n; i++) {
        const ae_param *x = &p.items[i];
        if (x->init != AE_INIT_ZERO) continue;
        cr_assert(ends(x->name, "bias") || strstr(x->name, "norm") != NULL, "%s", x->name);
        float *values = initial(x, 3);
        for (int64_t k = 0; k < x->n; k++) cr_assert_float_eq(values[k], 0, 0);
        free(values);
    }
    const ae_param *x = ae_params_find(&p, "model.layers.0.temporal_block.rg_lru.recurrent_param");
    float *values = initial(x, 3);
    double sum = 0, least = 1, most = 0;
    for (int64_t k = 0; k < x->n; k++) {
        const double u = exp(-2 * log1p(exp((double)values[k]))); /* a^2 at r = 1/8 */
        sum += u;
        least = fmin(least, u);
        most = fmax(most, u);
    }
    cr_assert(least >= 0.81 - 1e-6 && most <= 0.998001 + 1e-6, "%g %g", least, most);
    cr_assert(least < 0.82 && most > 0.99);
    cr_assert_float_eq(sum / (double)x->n, (0.81 + 0.998001) / 2, 0.01);
    free(values);
    ae_params_free(&p);
}

Test(params, initial_values_depend_on_seed_and_name_only) {
    const ae_model_config c = preset("small-1m");
    ae_model_config deeper = c;
    deeper.blocks = 7; /* other offsets, another table */
    ae_params p, q;
    cr_assert_eq(ae_params_init(&p, &c), AE_OK);
    cr_assert_eq(ae_params_init(&q, &deeper), AE_OK);
    const char *name = "model.layers.1.mlp_block.gate_proj.weight";
    const ae_param *x = ae_params_find(&p, name), *y = ae_params_find(&q, name);
    float *a = initial(x, 7), *b = initial(y, 7), *other = initial(x, 8), *up;
    cr_assert_arr_eq(a, b, (size_t)x->n * sizeof *a);
    cr_assert_neq(memcmp(a, other, (size_t)x->n * sizeof *a), 0);
    up = initial(ae_params_find(&p, "model.layers.1.mlp_block.up_proj.weight"), 7);
    cr_assert_neq(memcmp(a, up, (size_t)x->n * sizeof *a), 0);
    for (int64_t at = 0; at < x->n; at += 1001) {
        const int64_t n = x->n - at < 1001 ? x->n - at : 1001;
        ae_param_initial_part(x, 7, at, n, b + at);
    }
    cr_assert_arr_eq(a, b, (size_t)x->n * sizeof *a);
    free(a);
    free(b);
    free(other);
    free(up);
    ae_params_free(&p);
    ae_params_free(&q);
}

/* ---- what is added, and what trains ---- */

static ae_params table_with(const ae_params_options *o) {
    const ae_model_config c = preset("s5");
    ae_params p;
    cr_assert_eq(ae_params_init_with(&p, &c, o), AE_OK, "%s", ae_error_message());
    return p;
}

Test(params, adapters_come_after_the_shape_with_their_initial_values) {
    static const char *const on[] = {"*.up_proj.weight", "*.linear_?.weight", NULL};
    const ae_params_options o = {.adapters = {.rank = 4, .alpha = 32, .on = on}, .score_head = true};
    const ae_model_config c = preset("s5"); /* D = C = 256, E = 768, 6 blocks, two of which attend */
    ae_params plain, p = table_with(&o);
    cr_assert_eq(ae_params_init(&plain, &c), AE_OK);
    cr_assert_eq(p.n, plain.n + 2 * (6 + 4 * 2) + 1);
    for (ptrdiff_t i = 0; i < p.n; i++) {
        cr_assert_eq(p.items[i].added, i >= plain.n, "%s", p.items[i].name);
        if (i < plain.n) cr_assert_str_eq(p.items[i].name, plain.items[i].name);
    }
    cr_assert_float_eq(p.adapter_scale, 8, 0);
    const ae_param *a = ae_params_find(&p, "model.layers.3.mlp_block.up_proj.lora_A.weight"),
                   *b = ae_params_find(&p, "model.layers.3.mlp_block.up_proj.lora_B.weight");
    cr_assert(a != NULL && a->shape[0] == 4 && a->shape[1] == 256 && a->product);
    cr_assert(b != NULL && b->shape[0] == 768 && b->shape[1] == 4 && b->product);
    cr_assert_null(ae_params_find(&p, "model.layers.3.mlp_block.down_proj.lora_A.weight"));
    cr_assert_eq(ae_params_find_adapter(&p, "model.layers.3.mlp_block.up_proj.weight", 'A'), a);
    cr_assert_eq(ae_params_find_adapter(&p, "model.layers.3.mlp_block.up_proj", 'B'), b);
    cr_assert_null(ae_params_find_adapter(&p, "model.layers.3.mlp_block.down_proj.weight", 'A'));
    float *x = initial(a, 1), *y = initial(b, 1), least = 1, most = -1;
    for (int64_t k = 0; k < a->n; k++) least = fminf(least, x[k]), most = fmaxf(most, x[k]);
    cr_assert(least >= -1.0f / 16 && least < -0.99f / 16 && most <= 1.0f / 16 && most > 0.99f / 16);
    cr_assert_float_eq(std_of(x, a->n), 1.0 / 16 / sqrt(3), 0.003);
    for (int64_t k = 0; k < b->n; k++) cr_assert_float_eq(y[k], 0, 0);
    const ae_param *head = ae_params_find(&p, "score.weight");
    cr_assert(head != NULL && head->rank == 2 && head->shape[0] == 1 && head->shape[1] == 256);
    float *z = initial(head, 1);
    cr_assert_float_eq(std_of(z, head->n), 1 / sqrt(257.0), 0.01);
    free(x);
    free(y);
    free(z);
    ae_params_free(&plain);
    ae_params_free(&p);
}

Test(params, a_new_head_may_begin_at_zero) {
    ae_params p = table_with(&(ae_params_options){.score_head = true, .zero_head = true});
    const ae_param *head = ae_params_find(&p, "score.weight");
    float *z = initial(head, 1);
    for (int64_t k = 0; k < head->n; k++) cr_assert_float_eq(z[k], 0, 0);
    free(z);
    ae_params_free(&p);
}

Test(params, patterns_say_what_trains) {
    static const char *const train[] = {"*.lora_?.weight", "score.weight", NULL};
    ae_params p = table_with(&(ae_params_options){
        .adapters = {.rank = 2, .alpha = 2, .by_root = true}, .score_head = true, .train = train});
    int64_t trained = 0;
    for (ptrdiff_t i = 0; i < p.n; i++) {
        cr_assert_eq(p.items[i].trainable, p.items[i].added, "%s", p.items[i].name);
        if (p.items[i].added) trained += (p.items[i].n + 15) / 16 * 16;
    }
    cr_assert_eq(ae_params_padded_elements(&p, true), trained);
    cr_assert_float_eq(p.adapter_scale, sqrt(2), 1e-12);
    ae_params_free(&p);
}

Test(params, patterns_that_match_nothing_are_refused) {
    static const char *const nowhere[] = {"*.q_proj.weight", "*.gate_weight", NULL};
    const ae_model_config c = preset("s5");
    const struct {
        ae_params_options o;
        const char *says;
    } cases[] = {{{.adapters = {.rank = 2, .alpha = 1, .on = nowhere}}, "gate_weight"},
                 {{.train = nowhere}, "gate_weight"},
                 {{.adapters = {.rank = -1}}, "-1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_params p;
        cr_assert_eq(ae_params_init_with(&p, &c, &cases[i].o), AE_ERR_USAGE, "case %zu", i);
        cr_assert_not_null(strstr(ae_error_message(), cases[i].says), "%s", ae_error_message());
    }
}
