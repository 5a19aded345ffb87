#include "train/inputs.h"

#include "core/file.h"
#include "core/json.h"
#include "data/hash.h"
#include "train/resume.h"
#include "train/run_folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 0 without data: a plan can be made for a shape alone. */
static int64_t data_vocab(const ae_inputs *in) {
    return in->data.n_sets > 0 ? ae_token_set_vocab_size(in->data.sets[0]) : 0;
}

/* The vocabulary and, where both carry one, the tokenizer of the held-out set are those of training. */
static ae_status open_heldout(ae_inputs *in, const ae_train_config *c) {
    const char *path = in->heldout_set ? in->heldout_set : c->data.heldout;
    if (!path[0]) return AE_OK;
    ae_status st = ae_token_set_open(&in->heldout, path);
    if (st != AE_OK) return st;
    long long ours = ae_token_set_vocab_size(in->data.sets[0]), theirs = ae_token_set_vocab_size(in->heldout);
    if (ours == theirs) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "data.heldout: %s: expected a vocabulary of %lld as in data.train, found %lld; prepare both with one "
        "tokenizer",
        path, ours, theirs);
}

/* A tokenizer's bytes from `set`, or from model.init's file; opened once, compared with the one there is. */
static ae_status take_tokenizer(ae_inputs *in, const void *bytes, size_t n, const char *where) {
    if (!bytes) return AE_OK;
    if (!in->tokenizer) return ae_tokenizer_from_bytes(&in->tokenizer, bytes, n, where);
    if (ae_tokenizer_is(in->tokenizer, bytes, n)) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected the tokenizer of data.train, found another; prepare the text again with "
                   "that one",
                   where);
}

static ae_status take_set_tokenizer(ae_inputs *in, const ae_token_set *set) {
    size_t n = 0;
    if (!set) return AE_OK;
    const void *bytes = ae_token_set_tokenizer(set, &n);
    return take_tokenizer(in, bytes, n, ae_token_set_path(set));
}

ae_status ae_inputs_open_data(ae_inputs *in, const ae_train_config *c) {
    ae_status st = AE_OK;
    if (!c->data.train[0]) return AE_OK;
    AE_TRY(ae_mixture_open(&in->data, in->train_sets ? in->train_sets : c->data.train));
    if (c->train.carry_state) AE_TRY(ae_mixture_check_streams(&in->data));
    AE_TRY(open_heldout(in, c));
    for (size_t i = 0; i < in->data.n_sets; i++) AE_TRY(take_set_tokenizer(in, in->data.sets[i]));
    AE_TRY(take_set_tokenizer(in, in->heldout));
out:
    return st;
}

static ae_status take_source_tokenizer(ae_inputs *in) {
    char *bytes = NULL;
    size_t n = 0;
    if (!in->source.tokenizer) return AE_OK;
    ae_status st = ae_file_read(in->source.tokenizer, &bytes, &n);
    if (st == AE_OK) st = take_tokenizer(in, bytes, n, in->source.tokenizer);
    free(bytes);
    return st;
}

/* model.init: shape, vocabulary and tokenizer come along, so no key may say otherwise. */
static ae_status open_source(ae_inputs *in, const ae_train_config *c) {
    ae_status st = AE_OK;
    const char *init = c->model.init;
    int64_t vocab = data_vocab(in);
    AE_TRY(ae_run_source_open(&in->source, init));
    const ae_params_options added = {.score_head = in->score_head};
    AE_TRY(ae_model_source_verify_with(&in->source, &added));
    in->shape = in->source.config;
    if (vocab > in->shape.V)
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "model.init: %s: expected a vocabulary of at least data.train's %lld, found %lld; "
                       "prepare the text with this model's tokenizer",
                       init, (long long)vocab, (long long)in->shape.V));
    AE_TRY(take_source_tokenizer(in));
out:
    return st;
}

ae_status ae_inputs_begin(ae_inputs *in, const ae_train_config *c) {
    if (c->model.init[0]) return open_source(in, c);
    return ae_model_config_resolve(&in->shape, &c->model, data_vocab(in));
}

/* ---- a run that goes on ---- */

static json_t *phases_of(const ae_mixture *m) {
    json_t *phases = json_array();
    for (size_t i = 0; i < m->n_phases; i++) {
        json_t *weights = json_array();
        for (size_t k = 0; k < m->n_sets; k++)
            json_array_append_new(weights, json_real(m->phases[i].weight[k]));
        json_array_append_new(phases, json_pack("{s:I, s:o}", "from_step", (json_int_t)m->phases[i].from_step,
                                                "weights", weights));
    }
    return phases;
}

static ae_status hash_of(ae_token_set *set, json_t **text) {
    uint64_t hash;
    char digits[32];
    *text = NULL;
    const ae_status st = ae_token_set_hash(set, &hash);
    if (st != AE_OK) return st;
    snprintf(digits, sizeof digits, "%016" PRIx64, hash);
    *text = json_string(digits);
    return *text ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", ae_token_set_path(set));
}

/* Some 1.5 s of reading: what a start may take. */
enum { VERIFY_TOKENS = 100 * 1000 * 1000 };

static ae_status verify(ae_token_set *set, int64_t *left) {
    *left -= ae_token_set_tokens(set);
    return *left >= 0 && ae_token_set_keeps_hash(set) ? ae_token_set_verify(set) : AE_OK;
}

/* A damaged set is refused at the start where reading it takes a moment. In larger ones, and in steps, only
 * the checksums of HDF5 guard what is read. */
static ae_status verify_sets(const ae_inputs *in) {
    int64_t left = VERIFY_TOKENS;
    ae_status st = in->heldout ? verify(in->heldout, &left) : AE_OK;
    for (size_t i = 0; st == AE_OK && i < in->data.n_sets; i++) st = verify(in->data.sets[i], &left);
    return st;
}

ae_status ae_inputs_facts(const ae_inputs *in, json_t **facts) {
    const ae_mixture *m = &in->data;
    ae_status st = AE_OK;
    json_t *sets = json_array(), *hash = NULL;
    *facts = NULL;
    AE_TRY(verify_sets(in));
    for (size_t i = 0; i < m->n_sets; i++) {
        AE_TRY(hash_of(m->sets[i], &hash));
        json_array_append_new(sets, hash);
    }
    hash = NULL;
    if (in->heldout) AE_TRY(hash_of(in->heldout, &hash));
    *facts = json_pack("{s:O, s:o, s:o*}", "sets", sets, "phases", phases_of(m), "heldout", hash);
    if (!*facts) st = AE_FAIL(AE_ERR_RESOURCE, "data.train: out of memory");
out:
    json_decref(sets);
    return st;
}

/* "the set of hash 0123456789abcdef", "sets of the hashes H, H" */
static void put_sets(FILE *f, const json_t *sets) {
    const size_t n = json_array_size(sets);
    fputs(n == 1 ? "the set of hash " : "sets of the hashes ", f);
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s%s", i ? ", " : "", json_string_value(json_array_get(sets, i)));
}

/* "weights 1, 3", "weights 1, 3 from step 0, 2, 3 from step 50" */
static void put_phases(FILE *f, const json_t *phases) {
    fputs("weights ", f);
    for (size_t i = 0; i < json_array_size(phases); i++) {
        const json_t *phase = json_array_get(phases, i), *weights = json_object_get(phase, "weights");
        for (size_t k = 0; k < json_array_size(weights); k++)
            fprintf(f, "%s%g", i + k ? ", " : "", json_number_value(json_array_get(weights, k)));
        if (json_array_size(phases) > 1)
            fprintf(f, " from step %lld", (long long)json_integer_value(json_object_get(phase, "from_step")));
    }
}

/* What differs of a run's data, for a message; NULL for want of memory. */
static char *told_data(const json_t *data, bool sets_differ) {
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) return NULL;
    if (sets_differ)
        put_sets(f, json_object_get(data, "sets"));
    else
        put_phases(f, json_object_get(data, "phases"));
    if (fclose(f) == 0) return text;
    free(text);
    return NULL;
}

/* The part of the facts that decides about rows. */
static json_t *rows_of(const json_t *facts) {
    return json_pack("{s:O?, s:O?}", "sets", json_object_get(facts, "sets"), "phases",
                     json_object_get(facts, "phases"));
}

static ae_status check_data(const json_t *then, const json_t *now, ae_overrides *o) {
    const bool same_sets = json_equal(json_object_get(then, "sets"), json_object_get(now, "sets"));
    const bool same =
        same_sets && json_equal(json_object_get(then, "phases"), json_object_get(now, "phases"));
    o->new_work |= !same_sets;
    if (same) return AE_OK;
    json_t *before = rows_of(then), *after = rows_of(now);
    char *from = told_data(then, !same_sets), *to = told_data(now, !same_sets);
    const ae_status st = before && after && from && to
                             ? ae_override_take_as(o, "data.train", before, after, from, to,
                                                   same_sets ? AE_ERR_USAGE : AE_ERR_INPUT)
                             : AE_FAIL(AE_ERR_RESOURCE, "data.train: out of memory");
    free(from);
    free(to);
    json_decref(before);
    json_decref(after);
    return st;
}

/* A run without evaluations for a while remembers the set that its best is of; one from before the hash was
 * kept takes any. */
static ae_status check_heldout(const json_t *then, json_t *now, ae_overrides *o) {
    json_t *before = json_object_get(then, "heldout"), *after = json_object_get(now, "heldout");
    if (!before) return AE_OK;
    if (after)
        return json_equal(before, after) ? AE_OK
                                         : ae_override_take(o, "data.heldout", before, after, AE_ERR_INPUT);
    if (json_object_set(now, "heldout", before) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "data.heldout: out of memory");
}

static ae_status check_tokenizer(uint64_t then, uint64_t now, ae_overrides *o) {
    char before[32], after[32];
    if (then == now) return AE_OK;
    snprintf(before, sizeof before, "%016" PRIx64, then);
    snprintf(after, sizeof after, "%016" PRIx64, now);
    json_t *a = json_string(before), *b = json_string(after);
    const ae_status st = ae_override_take(o, "data.tokenizer", a, b, AE_ERR_INPUT);
    json_decref(a);
    json_decref(b);
    return st;
}

static ae_status check_model(const ae_model_config *then, const ae_model_config *now, ae_overrides *o) {
    ae_status st = AE_OK;
    char *then_text = NULL, *now_text = NULL, dotted[96];
    json_t *a = NULL, *b = NULL, *value;
    const char *key;
    AE_TRY(ae_model_config_to_json(then, &then_text));
    AE_TRY(ae_model_config_to_json(now, &now_text));
    AE_TRY(ae_json_parse(&a, then_text, strlen(then_text), "model.json"));
    AE_TRY(ae_json_parse(&b, now_text, strlen(now_text), "model.json"));
    json_object_foreach(a, key, value) {
        const json_t *other = json_object_get(b, key);
        if (ae_resume_same_value(value, other)) continue;
        snprintf(dotted, sizeof dotted, "model.%s", key);
        AE_TRY(ae_override_take(o, dotted, value, other, AE_ERR_USAGE));
    }
out:
    free(then_text);
    free(now_text);
    json_decref(a);
    json_decref(b);
    return st;
}

/* Other sets may have fewer ids than the model has rows for. */
static ae_status check_shape(ae_inputs *in, const ae_train_config *c, ae_overrides *o) {
    const int64_t vocab = data_vocab(in);
    const bool other_sets = ae_override_was_taken(o, "data.train");
    if (other_sets && vocab > in->shape.V)
        return AE_FAIL(
            AE_ERR_INPUT,
            "data.train: expected ids that fit into the run's vocabulary of %lld, found one of %lld; "
            "prepare the text with tokenizer.model of the checkpoint",
            (long long)in->shape.V, (long long)vocab);
    if (c->model.init[0]) return AE_OK; /* the key itself was compared */
    ae_model_config now;
    ae_status st = ae_model_config_resolve(&now, &c->model, other_sets ? in->shape.V : vocab);
    return st == AE_OK ? check_model(&in->shape, &now, o) : st;
}

/* The sets may carry none, where model.init brought it. */
static ae_status take_checkpoint_tokenizer(ae_inputs *in, ae_overrides *o) {
    char *bytes = NULL;
    size_t n = 0;
    if (!in->source.tokenizer || !in->tokenizer) return take_source_tokenizer(in);
    ae_status st = ae_file_read(in->source.tokenizer, &bytes, &n);
    if (st == AE_OK)
        st = check_tokenizer(ae_fnv(AE_FNV_START, bytes, n), ae_tokenizer_hash(in->tokenizer), o);
    free(bytes);
    return st;
}

ae_status ae_inputs_resume(ae_inputs *in, const ae_train_config *c, const char *checkpoint,
                           const json_t *then, ae_overrides *o, json_t **now) {
    ae_status st = AE_OK;
    *now = NULL;
    AE_TRY(ae_run_source_open(&in->source, checkpoint));
    in->shape = in->source.config;
    AE_TRY(take_checkpoint_tokenizer(in, o));
    AE_TRY(ae_inputs_facts(in, now));
    AE_TRY(check_data(then, *now, o));
    AE_TRY(check_heldout(then, *now, o));
    AE_TRY(check_shape(in, c, o));
out:
    return st;
}

void ae_inputs_close(ae_inputs *in) {
    ae_mixture_close(&in->data);
    ae_token_set_close(in->heldout);
    ae_tokenizer_delete(in->tokenizer);
    ae_model_source_free(&in->source);
    *in = (ae_inputs){0};
}
