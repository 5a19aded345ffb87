#include "exchange/hf_config.h"
#include "model/config.h"
#include "tests/core/scratch.h"

#include <jansson.h>

static const char base[] =
    "{\"model_type\": \"recurrent_gemma\", \"vocab_size\": 64, \"hidden_size\": 32, \"intermediate_size\": "
    "192,"
    " \"num_attention_heads\": 4, \"num_key_value_heads\": 1, \"head_dim\": 8, \"lru_width\": 48,"
    " \"attention_window_size\": 8, \"conv1d_width\": 4, \"logits_soft_cap\": 30.0, \"rms_norm_eps\": 1e-06,"
    " \"rope_theta\": 10000.0, \"partial_rotary_factor\": 0.5, \"num_hidden_layers\": 5,"
    " \"block_types\": [\"recurrent\", \"recurrent\", \"attention\"],"
    " \"hidden_activation\": \"gelu_pytorch_tanh\", \"attention_bias\": false, \"torch_dtype\": \"float32\","
    " \"tie_word_embeddings\": true}";

/* Reads a base with fields set and others (a list of words) left out. */
static ae_status read_over(ae_model_config *c, const char *text_of_base, const char *set,
                           const char *without) {
    json_error_t e;
    json_t *o = json_loads(text_of_base, 0, &e), *change = json_loads(set, 0, &e);
    cr_assert(o != NULL && change != NULL, "%s in %s", e.text, set);
    json_object_update(o, change);
    char words[256];
    snprintf(words, sizeof words, "%s", without);
    for (char *w = strtok(words, " "); w != NULL; w = strtok(NULL, " "))
        cr_assert_eq(json_object_del(o, w), 0, "%s", w);
    char *text = json_dumps(o, 0);
    const ae_status st = ae_model_config_from_hf(c, scratch_write("config.json", text, strlen(text)));
    free(text);
    json_decref(change);
    json_decref(o);
    return st;
}

static ae_status read_with(ae_model_config *c, const char *set, const char *without) {
    return read_over(c, base, set, without);
}

static ae_model_config accepted(const char *set, const char *without) {
    ae_model_config c;
    cr_assert_eq(read_with(&c, set, without), AE_OK, "%s: %s", set, ae_error_message());
    return c;
}

TestSuite(hf_config, .init = scratch_make, .fini = scratch_remove);

Test(hf_config, base_is_read) {
    const ae_model_config c = accepted("{}", "");
    cr_assert(c.V == 64 && c.D == 32 && c.E == 96 && c.N == 4 && c.G == 1 && c.H == 8 && c.C == 48);
    cr_assert(c.W == 8 && c.K == 4 && c.blocks == 5 && c.scale_embeddings);
    for (ptrdiff_t i = 0; i < 5; i++) cr_assert_eq(c.pattern[i], i % 3 == 2 ? AE_ATTENTION : AE_RECURRENT);
}

Test(hf_config, absent_fields_have_their_meaning) {
    const ae_model_config c = accepted(
        "{}", "num_key_value_heads head_dim lru_width attention_window_size conv1d_width logits_soft_cap "
              "rms_norm_eps rope_theta partial_rotary_factor block_types hidden_activation attention_bias "
              "tie_word_embeddings torch_dtype");
    cr_assert(c.G == 4 && c.H == 8 && c.C == 32 && c.W == 2048 && c.K == 4);
    cr_assert_float_eq(c.soft_cap, 30, 0);
    cr_assert_float_eq(c.norm_eps, 1e-6, 0);
    cr_assert_float_eq(c.rope_theta, 10000, 0);
    cr_assert_float_eq(c.rope_share, 0.5, 0);
    for (ptrdiff_t i = 0; i < 5; i++) cr_assert_eq(c.pattern[i], i % 3 == 2 ? AE_ATTENTION : AE_RECURRENT);
    cr_assert_eq(accepted("{\"lru_width\": null}", "").C, 32);
    cr_assert_eq(accepted("{\"num_key_value_heads\": null}", "").G, 4);
    cr_assert_eq(accepted("{\"head_dim\": null}", "").H, 8);
}

Test(hf_config, values_are_taken) {
    cr_assert_eq(accepted("{\"head_dim\": 16}", "").H, 16);
    cr_assert_eq(accepted("{\"num_key_value_heads\": 2}", "").G, 2);
    cr_assert_eq(accepted("{\"attention_window_size\": 12}", "").W, 12);
    cr_assert_eq(accepted("{\"conv1d_width\": 2}", "").K, 2);
    cr_assert_float_eq(accepted("{\"logits_soft_cap\": 7}", "").soft_cap, 7, 0);
    cr_assert_float_eq(accepted("{\"rope_theta\": 500}", "").rope_theta, 500, 0);
    cr_assert_float_eq(accepted("{\"partial_rotary_factor\": 1.0}", "").rope_share, 1, 0);
}

Test(hf_config, rope_may_stand_inside) {
    const char *inside = "{\"rope_parameters\": {\"rope_theta\": 77.0, \"partial_rotary_factor\": 1,"
                         " \"rope_type\": \"default\"}}";
    ae_model_config c = accepted(inside, "rope_theta partial_rotary_factor");
    cr_assert_float_eq(c.rope_theta, 77, 0);
    cr_assert_float_eq(c.rope_share, 1, 0);
    c = accepted("{\"rope_parameters\": {\"rope_theta\": 10000}}", "");
    cr_assert_float_eq(c.rope_theta, 10000, 0);
    cr_assert_float_eq(c.rope_share, 0.5, 0);
    c = accepted("{\"rope_parameters\": null}", "");
    cr_assert_float_eq(c.rope_theta, 10000, 0);
}

/* As transformers 4 wrote the published models, and as its version 5 writes. */
Test(hf_config, both_generations_are_read) {
    static const char published[] =
        "{\"architectures\": [\"RecurrentGemmaForCausalLM\"], \"attention_bias\": false, "
        "\"attention_dropout\": "
        "0.0, \"attention_window_size\": 2048, \"block_types\": [\"recurrent\", \"recurrent\", "
        "\"attention\"], \"bos_token_id\": 2, \"conv1d_width\": 4, \"embeddings_scale_by_sqrt_dim\": true, "
        "\"eos_token_id\": 1, \"final_w_init_variance_scale\": 0.07692307692307693, \"head_dim\": 256, "
        "\"hidden_activation\": \"gelu_pytorch_tanh\", \"hidden_size\": 2560, \"intermediate_size\": 15360, "
        "\"logits_soft_cap\": 30.0, \"lru_width\": 2560, \"model_type\": \"recurrent_gemma\", "
        "\"num_attention_heads\": 10, \"num_hidden_layers\": 26, \"num_key_value_heads\": 1, "
        "\"pad_token_id\": "
        "0, \"partial_rotary_factor\": 0.5, \"rms_norm_eps\": 1e-06, \"rope_theta\": 10000.0, "
        "\"torch_dtype\": "
        "\"bfloat16\", \"transformers_version\": \"4.40.0.dev0\", \"use_cache\": true, \"vocab_size\": "
        "256000, "
        "\"w_init_variance_scale\": 0.01}";
    static const char newer[] =
        "{\"architectures\": [\"RecurrentGemmaForCausalLM\"], \"attention_bias\": false, "
        "\"attention_dropout\": "
        "0.0, \"attention_window_size\": 64, \"block_types\": [\"recurrent\", \"recurrent\", \"attention\"], "
        "\"bos_token_id\": 2, \"conv1d_width\": 4, \"dtype\": \"float32\", \"eos_token_id\": 1, "
        "\"final_w_init_variance_scale\": 0.4, \"head_dim\": 16, \"hidden_activation\": "
        "\"gelu_pytorch_tanh\", \"hidden_size\": 64, \"intermediate_size\": 192, \"logits_soft_cap\": 30.0, "
        "\"lru_width\": 96, \"model_type\": \"recurrent_gemma\", \"num_attention_heads\": 4, "
        "\"num_hidden_layers\": 5, \"num_key_value_heads\": 2, \"pad_token_id\": 0, \"rms_norm_eps\": 1e-06, "
        "\"rope_parameters\": {\"partial_rotary_factor\": 0.25, \"rope_theta\": 5000.0, \"rope_type\": "
        "\"default\"}, \"tie_word_embeddings\": true, \"transformers_version\": \"5.24.0\", \"use_cache\": "
        "true, \"vocab_size\": 500, \"w_init_variance_scale\": 0.01}";
    ae_model_config c;
    cr_assert_eq(ae_model_config_from_hf(&c, scratch_write("a.json", published, sizeof published - 1)), AE_OK,
                 "%s", ae_error_message());
    cr_assert(c.V == 256000 && c.D == 2560 && c.C == 2560 && c.E == 7680 && c.N == 10 && c.G == 1 &&
              c.H == 256);
    cr_assert(c.W == 2048 && c.K == 4 && c.blocks == 26);
    cr_assert_eq(ae_model_config_from_hf(&c, scratch_write("b.json", newer, sizeof newer - 1)), AE_OK, "%s",
                 ae_error_message());
    cr_assert(c.V == 500 && c.C == 96 && c.G == 2 && c.H == 16 && c.W == 64);
    cr_assert_float_eq(c.rope_theta, 5000, 0);
    cr_assert_float_eq(c.rope_share, 0.25, 0);
    cr_assert_eq(accepted("{\"sliding_window\": 8}", "").W, 8);
}

Test(hf_config, pattern_is_cyclic) {
    ae_model_config c = accepted("{\"block_types\": [\"attention\", \"recurrent\"]}", "");
    for (ptrdiff_t i = 0; i < 5; i++) cr_assert_eq(c.pattern[i], i % 2 == 0 ? AE_ATTENTION : AE_RECURRENT);
    c = accepted("{\"block_types\": [\"recurrent\"]}", "");
    for (ptrdiff_t i = 0; i < 5; i++) cr_assert_eq(c.pattern[i], AE_RECURRENT);
    c = accepted(
        "{\"block_types\": [\"recurrent\", \"recurrent\", \"recurrent\", \"recurrent\", \"attention\","
        " \"attention\"]}",
        "");
    cr_assert_eq(c.pattern[4], AE_ATTENTION);
    cr_assert_eq(c.pattern[3], AE_RECURRENT);
    cr_assert_eq(accepted("{\"block_types\": null}", "").pattern[2], AE_ATTENTION);
}

Test(hf_config, fields_that_change_nothing_are_ignored) {
    const ae_model_config c =
        accepted("{\"pad_token_id\": 0, \"torch_dtype\": \"bfloat16\", \"dtype\": 7,"
                 " \"architectures\": [\"X\"], \"use_cache\": false, \"anything\": null,"
                 " \"w_init_variance_scale\": 0.01, \"transformers_version\": \"9\","
                 " \"rope_scaling\": null, \"attention_dropout\": 0.5}",
                 "");
    cr_assert_eq(c.V, 64);
}

/* Without a recurrent block the heads need not divide the recurrent width, and so on. */
Test(hf_config, sizes_that_no_block_uses_are_free) {
    accepted("{\"block_types\": [\"attention\"], \"lru_width\": 7}", "");
    accepted("{\"block_types\": [\"recurrent\"], \"head_dim\": 7}", "");
}

Test(hf_config, refusals_name_the_field) {
    static const struct {
        const char *set, *without, *says;
    } cases[] = {
        {"{}", "vocab_size", "vocab_size"},
        {"{}", "hidden_size", "hidden_size"},
        {"{}", "num_hidden_layers", "num_hidden_layers"},
        {"{}", "num_attention_heads", "num_attention_heads"},
        {"{}", "intermediate_size", "intermediate_size"},
        {"{}", "model_type", "model_type"},
        {"{\"model_type\": \"llama\"}", "", "model_type"},
        {"{\"model_type\": 3}", "", "model_type"},
        {"{\"hidden_activation\": \"gelu\"}", "", "hidden_activation"},
        {"{\"hidden_activation\": null}", "", "hidden_activation"},
        {"{\"tie_word_embeddings\": false}", "", "tie_word_embeddings"},
        {"{\"tie_word_embeddings\": 1}", "", "tie_word_embeddings"},
        {"{\"attention_bias\": true}", "", "attention_bias"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}", "", "rope_scaling"},
        {"{\"rope_parameters\": {\"rope_type\": \"yarn\"}}", "", "rope_type"},
        {"{\"rope_parameters\": {\"rope_theta\": \"x\"}}", "rope_theta", "rope_theta"},
        {"{\"rope_parameters\": {\"rope_theta\": 5}}", "", "rope_theta"},
        {"{\"rope_parameters\": [1]}", "", "rope_parameters"},
        {"{\"rope_parameters\": {\"type\": \"linear\"}}", "", "rope_parameters.type"},
        {"{\"rope_parameters\": {\"sliding_attention\": {\"rope_theta\": 5}}}", "",
         "rope_parameters.sliding_attention"},
        {"{\"embeddings_scale_by_sqrt_dim\": false}", "", "embeddings_scale_by_sqrt_dim"},
        {"{\"sliding_window\": 4}", "", "sliding_window"},
        {"{\"quantization_config\": {\"bits\": 4}}", "", "quantization_config"},
        {"{\"vocab_size\": 0}", "", "vocab_size"},
        {"{\"vocab_size\": -5}", "", "vocab_size"},
        {"{\"vocab_size\": 1e18}", "", "vocab_size"},
        {"{\"vocab_size\": 1000000000000000000}", "", "vocab_size"},
        {"{\"vocab_size\": \"64\"}", "", "vocab_size"},
        {"{\"vocab_size\": null}", "", "vocab_size"},
        {"{\"vocab_size\": 64.5}", "", "vocab_size"},
        {"{\"vocab_size\": true}", "", "vocab_size"},
        {"{\"vocab_size\": [64]}", "", "vocab_size"},
        {"{\"hidden_size\": -32}", "", "hidden_size"},
        {"{\"hidden_size\": 9223372036854775807}", "", "hidden_size"},
        {"{\"intermediate_size\": 193}", "", "intermediate_size"},
        {"{\"intermediate_size\": -192}", "", "intermediate_size"},
        {"{\"intermediate_size\": 4611686018427387904}", "", "intermediate_size"},
        {"{\"num_hidden_layers\": 0}", "", "num_hidden_layers"},
        {"{\"num_hidden_layers\": 100000}", "", "num_hidden_layers"},
        {"{\"num_attention_heads\": 0}", "", "num_attention_heads"},
        {"{\"num_attention_heads\": -4}", "", "num_attention_heads"},
        {"{\"num_attention_heads\": 3}", "head_dim", "num_attention_heads"},
        {"{\"num_attention_heads\": 5}", "", "num_attention_heads"},
        {"{\"num_key_value_heads\": 3}", "", "num_key_value_heads"},
        {"{\"num_key_value_heads\": 0}", "", "num_key_value_heads"},
        {"{\"num_key_value_heads\": 8}", "", "num_key_value_heads"},
        {"{\"num_key_value_heads\": \"1\"}", "", "num_key_value_heads"},
        {"{\"head_dim\": 0}", "", "head_dim"},
        {"{\"head_dim\": 7}", "", "head_dim"},
        {"{\"head_dim\": -8}", "", "head_dim"},
        {"{\"head_dim\": 1000000000000}", "", "head_dim"},
        {"{\"lru_width\": 50}", "", "lru_width"},
        {"{\"lru_width\": 0}", "", "lru_width"},
        {"{\"lru_width\": \"48\"}", "", "lru_width"},
        {"{\"attention_window_size\": 0}", "", "attention_window_size"},
        {"{\"attention_window_size\": -1}", "", "attention_window_size"},
        {"{\"attention_window_size\": null}", "", "attention_window_size"},
        {"{\"attention_window_size\": 1000000000000000000}", "", "attention_window_size"},
        {"{\"conv1d_width\": 0}", "", "conv1d_width"},
        {"{\"conv1d_width\": 1000000}", "", "conv1d_width"},
        {"{\"logits_soft_cap\": 0}", "", "logits_soft_cap"},
        {"{\"logits_soft_cap\": null}", "", "logits_soft_cap"},
        {"{\"logits_soft_cap\": -30}", "", "logits_soft_cap"},
        {"{\"logits_soft_cap\": 1e300}", "", "logits_soft_cap"},
        {"{\"rms_norm_eps\": 0}", "", "rms_norm_eps"},
        {"{\"rms_norm_eps\": \"1e-6\"}", "", "rms_norm_eps"},
        {"{\"rope_theta\": 0}", "", "rope_theta"},
        {"{\"rope_theta\": -1}", "", "rope_theta"},
        {"{\"partial_rotary_factor\": 0}", "", "partial_rotary_factor"},
        {"{\"partial_rotary_factor\": 2}", "", "partial_rotary_factor"},
        {"{\"partial_rotary_factor\": 0.4}", "", "partial_rotary_factor"},
        {"{\"block_types\": []}", "", "block_types"},
        {"{\"block_types\": \"recurrent\"}", "", "block_types"},
        {"{\"block_types\": [\"recurrent\", \"global\"]}", "", "block_types"},
        {"{\"block_types\": [1]}", "", "block_types"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_model_config c;
        cr_assert_eq(read_with(&c, cases[i].set, cases[i].without), AE_ERR_INPUT, "%s without %s",
                     cases[i].set, cases[i].without);
        cr_assert_message(cases[i].says);
        cr_assert_message("config.json");
        cr_assert_null(strchr(ae_error_message(), '\n'));
    }
}

/* ---- Gemma ---- */

static const char gemma_2b[] =
    "{\"architectures\": [\"GemmaForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0,"
    " \"bos_token_id\": 2, \"eos_token_id\": 1, \"head_dim\": 256, \"hidden_act\": \"gelu\","
    " \"hidden_activation\": null, \"hidden_size\": 2048, \"initializer_range\": 0.02,"
    " \"intermediate_size\": 16384, \"max_position_embeddings\": 8192, \"model_type\": \"gemma\","
    " \"num_attention_heads\": 8, \"num_hidden_layers\": 18, \"num_key_value_heads\": 1,"
    " \"pad_token_id\": 0, \"rms_norm_eps\": 1e-06, \"rope_scaling\": null, \"rope_theta\": 10000.0,"
    " \"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.38.1\", \"use_cache\": true,"
    " \"vocab_size\": 256000}";

static ae_status read_gemma_with(ae_model_config *c, const char *set, const char *without) {
    return read_over(c, gemma_2b, set, without);
}

Test(hf_config, published_gemma_is_the_preset) {
    static const char *const spellings[] = {
        "{}",
        "{\"hidden_activation\": \"gelu_pytorch_tanh\"}",
        "{\"hidden_act\": \"gelu_pytorch_tanh\"}",
        "{\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 10000.0}}",
        "{\"use_bidirectional_attention\": null}",
        "{\"use_bidirectional_attention\": false}"};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        ae_model_config c;
        cr_assert_eq(read_gemma_with(&c, spellings[i], ""), AE_OK, "%s", ae_error_message());
        for (size_t k = 0; k < ae_n_presets; k++)
            if (strcmp(ae_presets[k].name, "gemma-2b") == 0)
                cr_assert_eq(ae_model_config_agree(&c, "read", &ae_presets[k].config, "preset"), AE_OK, "%s",
                             ae_error_message());
        cr_assert(c.n_ends == 1 && c.ends[0] == 1);
    }
}

/* transformers scales embeddings in the type of the weights. */
Test(hf_config, the_type_of_gemma_says_how_its_scale_is_rounded) {
    static const struct {
        const char *set;
        bool exact;
    } cases[] = {
        {"{\"torch_dtype\": \"float32\"}", true},
        {"{\"dtype\": \"bfloat16\"}", false},
        {"{\"torch_dtype\": \"float32\", \"embedding_scale_dtype\": \"bfloat16\"}", false},
        {"{\"torch_dtype\": \"bfloat16\", \"embedding_scale_dtype\": \"float32\"}", true},
    };
    ae_model_config c;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert_eq(read_gemma_with(&c, cases[i].set, ""), AE_OK, "%s", ae_error_message());
        cr_assert_eq(c.scale_exact, cases[i].exact, "%s", cases[i].set);
    }
    cr_assert_eq(read_gemma_with(&c, "{\"dtype\": \"float32\"}", "torch_dtype"), AE_OK);
    cr_assert(c.scale_exact);
}

Test(hf_config, other_gemmas_are_refused) {
    static const struct {
        const char *set, *without, *says;
    } cases[] = {
        {"{\"model_type\": \"gemma2\"}", "", "found \"gemma2\": of the Gemma models only the first"},
        {"{\"model_type\": \"gemma3_text\"}", "", "found \"gemma3_text\": of the Gemma models"},
        {"{\"model_type\": \"gemma3n\"}", "", "only the first generation opens"},
        {"{\"hidden_act\": \"gelu_new\"}", "", "hidden_act"},
        {"{\"hidden_activation\": \"gelu\"}", "", "hidden_activation"},
        {"{\"attention_bias\": true}", "", "attention_bias"},
        {"{\"tie_word_embeddings\": false}", "", "tie_word_embeddings"},
        {"{\"final_logit_softcapping\": 30}", "", "final_logit_softcapping"},
        {"{\"attn_logit_softcapping\": 50}", "", "attn_logit_softcapping"},
        {"{\"sliding_window\": 4096}", "", "sliding_window"},
        {"{\"use_bidirectional_attention\": true}", "", "use_bidirectional_attention"},
        {"{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}", "", "rope_scaling"},
        {"{\"partial_rotary_factor\": 0.5}", "", "partial_rotary_factor"},
        {"{\"embedding_scale_dtype\": \"float16\"}", "", "embedding_scale_dtype"},
        {"{\"num_key_value_heads\": 3}", "", "num_key_value_heads"},
        {"{\"intermediate_size\": 0}", "", "intermediate_size"},
        {"{}", "head_dim", "head_dim"},
        {"{}", "num_key_value_heads", "num_key_value_heads"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ae_model_config c;
        cr_assert_eq(read_gemma_with(&c, cases[i].set, cases[i].without), AE_ERR_INPUT, "%s", cases[i].set);
        cr_assert_message(cases[i].says);
        cr_assert_null(strchr(ae_error_message(), '\n'));
    }
}

Test(hf_config, what_is_no_config) {
    ae_model_config c;
    cr_assert_eq(ae_model_config_from_hf(&c, scratch_path("absent.json")), AE_ERR_INPUT);
    static const char *const texts[] = {"",        "{", "[]", "3", "{\"vocab_size\": 99999999999999999999}",
                                        "\xff\xfe"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_assert_eq(ae_model_config_from_hf(&c, scratch_write("x.json", texts[i], strlen(texts[i]))),
                     AE_ERR_INPUT);
    for (size_t n = 0; n < sizeof base - 1; n++)
        cr_assert_eq(ae_model_config_from_hf(&c, scratch_write("cut.json", base, n)), AE_ERR_INPUT,
                     "%zu bytes", n);
}

/* ---- what ends an answer ---- */

static void expect_ends(const char *set, const char *generation, ptrdiff_t n, const int32_t *want) {
    ae_model_config c, back;
    char *text = NULL;
    remove(scratch_path("generation_config.json"));
    if (generation != NULL) scratch_write("generation_config.json", generation, strlen(generation));
    c = accepted(set, "");
    cr_assert_eq(c.n_ends, n, "%s: %td", set, c.n_ends);
    cr_assert(n == 0 || memcmp(c.ends, want, (size_t)n * sizeof *want) == 0);
    cr_assert_eq(ae_model_config_to_json(&c, &text), AE_OK);
    cr_assert_eq(ae_model_config_from_json(&back, text, "model.json"), AE_OK, "%s", ae_error_message());
    cr_assert(back.n_ends == n && memcmp(back.ends, c.ends, (size_t)n * sizeof *c.ends) == 0,
              "a checkpoint keeps them");
    free(text);
}

Test(hf_config, ends_of_answers_are_an_id_or_a_list) {
    expect_ends("{\"eos_token_id\": null}", NULL, 0, NULL);
    expect_ends("{\"eos_token_id\": 1}", NULL, 1, (const int32_t[]){1});
    expect_ends("{\"eos_token_id\": [1, 7, 1]}", NULL, 2, (const int32_t[]){1, 7});
    expect_ends("{\"eos_token_id\": [64, -1, 2.5, \"x\", 5]}", NULL, 1, (const int32_t[]){5});
}

/* What a call says on stderr. */
static void told_by(void (*call)(void), char *text, size_t n) {
    const char *path = scratch_write("stderr", "", 0);
    const int kept = dup(STDERR_FILENO);
    cr_assert_not_null(freopen(path, "w", stderr));
    call();
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    FILE *f = fopen(path, "r");
    text[fread(text, 1, n - 1, f)] = '\0';
    fclose(f);
}

static void take_too_many_ends(void) {
    int32_t want[AE_ENDS_MAX];
    char set[2048] = "{\"vocab_size\": 300, \"eos_token_id\": [";
    for (int i = 0; i < AE_ENDS_MAX + 9; i++)
        snprintf(set + strlen(set), sizeof set - strlen(set), "%s%d", i > 0 ? "," : "", 200 - i);
    strcat(set, "]}");
    for (int i = 0; i < AE_ENDS_MAX; i++) want[i] = 200 - i;
    expect_ends(set, NULL, AE_ENDS_MAX, want);
}

Test(hf_config, ends_that_find_no_place_are_told) {
    char told[1024];
    told_by(take_too_many_ends, told, sizeof told);
    cr_assert(strstr(told, "expected at most 64 ids, found more; 136 and those after it"), "%s", told);
    cr_assert_null(strstr(told, "135"));
}

Test(hf_config, a_checkpoint_with_more_ends_than_places_is_refused) {
    ae_model_config c = accepted("{\"vocab_size\": 300}", "");
    char *text = NULL;
    for (int32_t id = 0; id < AE_ENDS_MAX; id++) cr_assert(ae_model_config_add_end(&c, id));
    cr_assert(ae_model_config_add_end(&c, 7), "it is known");
    cr_assert_not(ae_model_config_add_end(&c, 200));
    cr_assert_eq(ae_model_config_to_json(&c, &text), AE_OK);
    json_t *o = json_loads(text, 0, NULL);
    free(text);
    json_array_append_new(json_object_get(o, "ends"), json_integer(200));
    text = json_dumps(o, 0);
    cr_assert_eq(ae_model_config_from_json(&c, text, "model.json"), AE_ERR_INPUT);
    cr_assert_message("model.json: ends: expected at most 64 ids, found more");
    json_decref(o);
    free(text);
}

Test(hf_config, generation_config_has_the_last_word_on_ends) {
    expect_ends("{\"eos_token_id\": 1}", "{\"eos_token_id\": [3, 9]}", 2, (const int32_t[]){3, 9});
    expect_ends("{\"eos_token_id\": 1}", "{\"eos_token_id\": null}", 0, NULL);
    expect_ends("{\"eos_token_id\": 1}", "{\"temperature\": 1}", 1, (const int32_t[]){1});
    ae_model_config c;
    scratch_write("generation_config.json", "{", 1);
    cr_assert_eq(read_with(&c, "{\"eos_token_id\": 4}", ""), AE_OK, "it is only warned of");
    cr_assert(c.n_ends == 1 && c.ends[0] == 4);
}
