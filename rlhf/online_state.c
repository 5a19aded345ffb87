#include "core/file.h"
#include "core/json.h"
#include "rlhf/answers_file.h"
#include "rlhf/online_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

static ae_status write_round(void *self, const char *path) {
    const ae_online *o = self;
    return ae_written_save(&o->round.answers, o->round.parts, (int64_t)o->sources + 1, path);
}

ae_status ae_online_save(void *self, ae_checkpoint_job *job) {
    ae_online *o = self;
    ae_status st = o->common.save(o, job);
    if (st == AE_OK) st = ae_rl_models_save(&o->models, job);
    if (st == AE_OK && o->state.pass > 0) st = ae_checkpoint_add(job, "answers.h5", write_round, o);
    return st;
}

static json_t *state_json(const ae_online_state *s) {
    json_t *memory = json_array();
    for (int i = 0; i < AE_RL_MEMORY; i++) json_array_append_new(memory, json_real(s->memory[i]));
    return json_pack("{s:I, s:I, s:f, s:f, s:I, s:s, s:o}", "rounds", (json_int_t)s->rounds, "pass",
                     (json_int_t)s->pass, "beta", s->guard.beta, "rate", s->guard.rate, "slowed",
                     (json_int_t)s->guard.slowed, "reference", s->reference, "memory", memory);
}

ae_status ae_online_keys(void *self, json_t *state) {
    const ae_online *o = self;
    const ae_status st = o->common.keys(self, state);
    if (st != AE_OK) return st;
    return json_object_set_new(state, "rl", state_json(&o->state)) == 0
               ? AE_OK
               : AE_FAIL(AE_ERR_RESOURCE, "state of the run: out of memory");
}

/* ---- reading ---- */

static ae_status read_memory(ae_online_state *s, const json_t *list, const char *path) {
    if (json_array_size(list) != AE_RL_MEMORY)
        return AE_FAIL(AE_ERR_INPUT, "%s: rl.memory: expected %d numbers, found %zu", path, AE_RL_MEMORY,
                       json_array_size(list));
    for (size_t i = 0; i < AE_RL_MEMORY; i++) s->memory[i] = json_number_value(json_array_get(list, i));
    return AE_OK;
}

static ae_status read_state(ae_online_state *s, const json_t *rl, const char *path) {
    ae_status st;
    const json_t *reference = json_object_get(rl, "reference");
    AE_TRY(ae_json_int(rl, "rounds", path, &s->rounds));
    AE_TRY(ae_json_int(rl, "pass", path, &s->pass));
    AE_TRY(ae_json_real(rl, "beta", path, &s->guard.beta));
    AE_TRY(ae_json_real(rl, "rate", path, &s->guard.rate));
    AE_TRY(ae_json_int(rl, "slowed", path, &s->guard.slowed));
    if (s->rounds < 0 || s->pass < 0 || !json_is_string(reference))
        AE_TRY(AE_FAIL(
            AE_ERR_INPUT,
            "%s: rl: expected rounds and pass of 0 or more and a reference, found something else; take "
            "another checkpoint",
            path));
    snprintf(s->reference, sizeof s->reference, "%s", json_string_value(reference));
    AE_TRY(read_memory(s, json_object_get(rl, "memory"), path));
out:
    return st;
}

/* Other work, another number of passes, or keys by which the answers of the last round were written and rewarded:
 * they are not gone on with. */
static void take_overrides(ae_online *o, const ae_overrides *overrides) {
    static const char *const keys[] = {"rl.rewards",      "rl.max_new",   "rl.temperature",
                                       "rl.samples",      "rl.truncated", "rl.truncated_penalty",
                                       "rl.rollout_dtype"};
    ae_online_state *s = &o->state;
    if (overrides->new_work || s->pass >= o->config->keys.rl.passes) s->pass = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (ae_override_is_taken(overrides, keys[i])) s->pass = 0;
    if (ae_override_is_taken(overrides, "rl.beta")) s->guard.beta = o->config->keys.rl.beta;
}

ae_status ae_online_resume(void *self, const json_t *state, ae_overrides *overrides) {
    ae_online *o = self;
    char *path = ae_path_join(o->tuned.run->checkpoint, "state.json");
    ae_status st = o->common.resume(self, state, overrides);
    if (st == AE_OK) st = read_state(&o->state, json_object_get(state, "rl"), path);
    if (st == AE_OK) take_overrides(o, overrides);
    free(path);
    return st;
}

static ae_status check_reference(ae_online *o) {
    char found[AE_REFERENCE_IDENTITY_BYTES];
    const ae_status st = ae_rl_models_identity(&o->models, found);
    if (st != AE_OK) return st;
    if (o->tuned.run->checkpoint && strcmp(found, o->state.reference) != 0)
        return AE_FAIL(
            AE_ERR_INPUT,
            "%s: expected the reference that the run was started with, found another model there; give "
            "that one",
            o->config->keys.rl.reference[0] ? "rl.reference" : "model.init");
    memcpy(o->state.reference, found, sizeof found);
    return AE_OK;
}

ae_status ae_online_load(ae_online *o) {
    ae_status st = check_reference(o);
    if (st != AE_OK || !o->tuned.run->checkpoint || o->state.pass == 0) return st;
    char *path = ae_path_join(o->tuned.run->checkpoint, "answers.h5");
    st = ae_written_load(&o->round.answers, &o->round.parts, (int64_t)o->sources + 1, ae_online_arrays(o),
                         path);
    free(path);
    return st;
}
