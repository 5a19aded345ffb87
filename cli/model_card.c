#include "cli/model_card.h"

#include "core/file.h"
#include "core/json.h"
#include "train/state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A run as a card tells it. */
typedef struct {
    ae_run_state state;
    json_t *config;              /* of the run */
    int64_t last_step;           /* of the last evaluation that is known; 0: none */
    double last_loss, last_bits; /* NAN: not known */
    int64_t best_step;           /* 0: none */
    double best_loss;
    bool reward; /* a reward model: losses are means over pairs */
} history;

/* ---- reading ---- */

static void take_evaluation(history *h, const char *line) {
    json_t *o = strstr(line, "\"eval_loss\"") ? json_loads(line, 0, NULL) : NULL;
    const json_int_t step = json_integer_value(json_object_get(o, "step"));
    const json_t *loss = json_object_get(o, "eval_loss"), *bits = json_object_get(o, "bits_per_byte");
    if (step > 0 && step <= h->state.step && json_is_number(loss)) {
        if (h->best_step == 0 || json_number_value(loss) < h->best_loss) {
            h->best_step = step;
            h->best_loss = json_number_value(loss);
        }
        h->last_step = step;
        h->last_loss = json_number_value(loss);
        h->last_bits = json_is_number(bits) ? json_number_value(bits) : (double)NAN;
    }
    json_decref(o);
}

/* RUN/checkpoints/step-N, whatever link led there. */
static bool in_run(const char *checkpoint) {
    char *real = realpath(checkpoint, NULL), *slash = real ? strrchr(real, '/') : NULL;
    if (slash) *slash = '\0';
    const bool found = slash && strcmp(ae_path_last(real), "checkpoints") == 0;
    free(real);
    return found;
}

/* A checkpoint is written before its evaluation, which is found here; one away from its run has no
 * metrics. */
static ae_status read_metrics(history *h, const char *checkpoint) {
    char *path = ae_path_join(checkpoint, "../../metrics.jsonl"), *line = NULL;
    ae_reader *in = NULL;
    size_t n = 0;
    ae_status st = AE_OK;
    if (!in_run(checkpoint) || !ae_path_exists(path)) goto out;
    AE_TRY(ae_reader_open(&in, path));
    do {
        AE_TRY(ae_reader_line(in, &line, &n));
        if (line) take_evaluation(h, line);
    } while (line);
out:
    ae_reader_close(in);
    free(path);
    return st;
}

static ae_status read_history(history *h, const ae_model_source *source, bool *known) {
    char *path = ae_path_join(source->folder, "state.json");
    ae_status st = AE_OK;
    *known = source->kind == AE_SOURCE_CHECKPOINT && ae_path_exists(path);
    if (!*known) goto out;
    AE_TRY(ae_run_state_read(&h->state, path));
    h->config = json_loads(h->state.config, 0, NULL);
    h->best_step = h->state.best_step;
    h->best_loss = h->state.best_score;
    AE_TRY(read_metrics(h, source->folder));
out:
    free(path);
    return st;
}

static void forget(history *h) {
    json_decref(h->config);
    ae_run_state_free(&h->state);
}

/* ---- writing ---- */

static const json_t *key_of(const history *h, const char *section, const char *key) {
    return json_object_get(json_object_get(h->config, section), key);
}

/* A path, or a list of sets and phases as JSON. */
static void put_data(FILE *f, const char *what, const json_t *value) {
    char *text = json_is_string(value) ? NULL : value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    const char *shown = text ? text : json_string_value(value);
    if (shown && shown[0]) fprintf(f, "- %s: `%s`\n", what, shown);
    free(text);
}

static void put_hashes(FILE *f, const history *h) {
    const json_t *sets = json_object_get(json_object_get(h->state.own, "data"), "sets");
    for (size_t i = 0; i < json_array_size(sets); i++) {
        const char *hash = json_string_value(json_array_get(sets, i));
        if (hash) fprintf(f, "%s`%s`", i == 0 ? "- hashes of the token sets: " : ", ", hash);
    }
    if (json_array_size(sets) > 0) fputc('\n', f);
}

static void put_losses(FILE *f, const history *h) {
    const char *unit = h->reward ? "pair" : "token";
    if (h->last_step > 0) {
        fprintf(f, "- held-out loss: %.4f nats a %s", h->last_loss, unit);
        if (isfinite(h->last_bits)) fprintf(f, ", %.4f bits a byte", h->last_bits);
        fprintf(f, " (step %lld)\n", (long long)h->last_step);
    }
    if (h->best_step > 0)
        fprintf(f, "- best held-out loss so far: %.4f nats a %s (step %lld)\n", h->best_loss, unit,
                (long long)h->best_step);
}

static void put_training(FILE *f, const history *h) {
    fprintf(f, "\n## Training\n\n- steps: %lld\n- tokens seen: %lld\n", (long long)h->state.step,
            (long long)h->state.tokens);
    put_data(f, "training data", key_of(h, "data", "train"));
    put_data(f, "held-out data", key_of(h, "data", "heldout"));
    put_data(f, "started from", key_of(h, "model", "init"));
    put_hashes(f, h);
    put_losses(f, h);
    char *text = h->config ? json_dumps(h->config, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    if (text) fprintf(f, "\n### Configuration\n\n```json\n%s\n```\n", text);
    free(text);
}

static ptrdiff_t count_attention(const ae_model_config *c) {
    ptrdiff_t n = 0;
    for (ptrdiff_t i = 0; i < c->blocks; i++) n += c->pattern[i] == AE_ATTENTION;
    return n;
}

static void put_shape(FILE *f, const ae_model_config *c, int64_t parameters) {
    const ptrdiff_t attention = count_attention(c);
    fprintf(f, "\n## Shape\n\n| | |\n| --- | --- |\n| parameters | %lld |\n", (long long)parameters);
    fprintf(f, "| vocabulary | %td |\n| width | %td |\n", c->V, c->D);
    if (attention < c->blocks) fprintf(f, "| recurrent width | %td |\n", c->C);
    fprintf(f, "| MLP width | %td |\n", c->E);
    fprintf(f, "| blocks | %td: %td recurrent, %td of %s attention |\n", c->blocks, c->blocks - attention,
            attention, c->W < 0 ? "global" : "local");
    if (attention == 0) return;
    fprintf(f, "| heads, key heads, head size | %td, %td, %td |\n", c->N, c->G, c->H);
    if (c->W < 0)
        fputs("| attention window | none |\n", f);
    else
        fprintf(f, "| attention window | %td tokens |\n", c->W);
}

static const char *title_of(const ae_model_source *source, const history *h) {
    const char *dir = json_string_value(key_of(h, "run", "dir"));
    return ae_path_last(dir && dir[0] ? dir : source->folder);
}

static void put_card(FILE *f, const ae_model_source *source, ae_file_dtype type, int64_t parameters,
                     const history *h, bool known) {
    const bool gemma = ae_model_is_gemma(&source->config);
    fprintf(f, "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n%s- aerie\n---\n\n",
            gemma ? "- gemma\n" : "- recurrent_gemma\n- griffin\n");
    fprintf(f,
            "# %s\n\nA %s language model of %.3g M parameters, in %s, written by aerie "
            "%s.\n",
            title_of(source, h), gemma ? "Gemma" : "RecurrentGemma (Griffin)", (double)parameters / 1e6,
            type == AE_FILE_BF16  ? "bfloat16"
            : type == AE_FILE_F16 ? "float16"
                                  : "float32",
            AERIE_VERSION);
    if (h->reward)
        fputs("\nIt is a reward model: beside the language model it has a head, `score.weight` [1, width], "
              "float32, without a bias. The reward of an answer is the head's product with the hidden "
              "state after the final norm, at the `<end_of_turn>` of the answer (`aerie score "
              "--reward`), less `reward_shift` of config.json. transformers loads the language model and "
              "passes the head over.\n",
              f);
    put_shape(f, &source->config, parameters);
    if (known) put_training(f, h);
}

static ae_status write_card(const char *folder, const ae_model_source *source, ae_file_dtype type,
                            int64_t parameters, const history *h, bool known) {
    char *text = NULL, *path = ae_path_join(folder, "README.md");
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (f) put_card(f, source, type, parameters, h, known);
    const bool whole = f && fclose(f) == 0;
    const ae_status st =
        whole ? ae_file_write(path, text, n) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    free(text);
    free(path);
    return st;
}

ae_status ae_model_card_write(const char *folder, const ae_model_source *source, ae_file_dtype type,
                              bool score_head) {
    history h = {.last_loss = NAN, .last_bits = NAN, .reward = score_head};
    ae_params params = {0};
    bool known = false;
    ae_status st;
    AE_TRY(ae_params_init_with(&params, &source->config, &(ae_params_options){.score_head = score_head}));
    AE_TRY(read_history(&h, source, &known));
    AE_TRY(write_card(folder, source, type, params.total, &h, known));
out:
    forget(&h);
    ae_params_free(&params);
    return st;
}
