#include "rlhf/estimates.h"
#include "rlhf/online_parts.h"
#include "rlhf/packed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ae_online_round_free(ae_online_round *r) {
    ae_written_set_free(&r->answers);
    ae_batch_free(&r->batch);
    free(r->parts);
    *r = (ae_online_round){0};
}

unsigned ae_online_arrays(const ae_online *o) {
    unsigned has =
        1u << AE_WRITTEN_NOW | 1u << AE_WRITTEN_BEFORE | 1u << AE_WRITTEN_REFERENCE | 1u << AE_WRITTEN_KL;
    if (o->config->keys.rl.rollout_dtype != AE_WEIGHT_F32) has |= 1u << AE_WRITTEN_SAMPLED;
    if (o->models.wants_anchor) has |= 1u << AE_WRITTEN_ANCHOR;
    if (o->models.wants_critic) has |= 1u << AE_WRITTEN_VALUES | 1u << AE_WRITTEN_VALUES_NOW;
    return has;
}

/* ---- answers ---- */

static ae_status write_answers(const ae_online *o, const ae_online_work *w, const ae_online_asking *asking,
                               ae_written_set *s) {
    const ae_rl_common_keys *k = &o->config->keys.rl;
    ae_rollouts r = {.tokenizer = o->tuned.inputs.tokenizer,
                     .temperature = k->temperature,
                     .max_new = k->max_new,
                     .seed = o->tuned.run->seed,
                     .name = asking->name,
                     .round = asking->round,
                     .capacity = o->capacity,
                     .longest = o->longest,
                     .want_drawn = k->rollout_dtype != AE_WEIGHT_F32 && !asking->evaluates,
                     .stop = o->tuned.run->stop};
    memcpy(r.counts, asking->counts, sizeof r.counts);
    if (asking->evaluates)
        r.writers[AE_RL_POLICY] = &o->tuned.model;
    else
        ae_rl_models_writers(&o->models, r.writers);
    return ae_rollouts_write(&r, w->prompts, w->n, s);
}

/* ---- rewards ---- */

static ae_rewarded_answer shown(const ae_online_work *w, const ae_written *a) {
    const ptrdiff_t prompt = a->seen.prompt;
    return (ae_rewarded_answer){.tokens = a->tokens,
                                .n_prompt = a->n_prompt,
                                .n = a->seen.n,
                                .truncated = a->seen.truncated,
                                .answer = a->text,
                                .answer_bytes = a->text_bytes,
                                .meta = w->meta[prompt],
                                .meta_bytes = w->meta_bytes[prompt]};
}

/* rl.truncated, on top of what the sources say. */
static void settle_reward(const ae_rl_common_keys *k, ae_rl_answer *a, const ae_reward_of *r, bool needed) {
    a->reward = r->total;
    if (needed && !r->has) a->counts = false;
    if (!a->truncated) return;
    if (k->truncated == AE_RL_PENALISE) a->reward -= k->truncated_penalty;
    if (k->truncated == AE_RL_MASK) a->counts = false;
}

static ae_status reward(const ae_online *o, const ae_online_work *w, ae_written_set *s, double **parts) {
    const size_t n = (size_t)s->n, columns = o->sources + 1;
    ae_rewarded_answer *answers = calloc(n, sizeof *answers);
    ae_reward_of *rewards = calloc(n, sizeof *rewards);
    *parts = calloc(n * columns, sizeof **parts);
    ae_status st = answers && rewards && *parts ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "rewards: out of memory");
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        answers[i] = shown(w, &s->items[i]);
        rewards[i].parts = *parts + i * columns;
    }
    if (st == AE_OK && o->sources > 0) st = ae_rewards_give(o->rewards, answers, s->n, rewards);
    for (size_t i = 0; st == AE_OK && i < n; i++) {
        (*parts)[i * columns + o->sources] =
            o->sources > 0 && rewards[i].has ? rewards[i].total : (double)NAN;
        settle_reward(&o->config->keys.rl, &s->items[i].seen, &rewards[i], o->reads & AE_RL_READS_REWARDS);
    }
    free(answers);
    free(rewards);
    return st;
}

/* ---- groups of equal reward ---- */

static bool is_dead(const ae_written_set *s, ptrdiff_t first, ptrdiff_t end) {
    ptrdiff_t counted = 0, at = first;
    for (ptrdiff_t i = first; i < end; i++) {
        const ae_rl_answer *a = &s->items[i].seen;
        if (!a->counts) continue;
        if (counted++ == 0) at = i;
        if (a->reward != s->items[at].seen.reward) return false;
    }
    return counted > 1;
}

/* The prompts whose answers are all worth the same; their places stay. */
static ae_status list_dead(const ae_online_work *w, const ae_written_set *s, ptrdiff_t each,
                           ae_online_work *dead) {
    const size_t n = (size_t)w->n;
    dead->prompts = calloc(n, sizeof *dead->prompts);
    dead->meta = calloc(n, sizeof *dead->meta);
    dead->meta_bytes = calloc(n, sizeof *dead->meta_bytes);
    if (!dead->prompts || !dead->meta || !dead->meta_bytes)
        return AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    for (ptrdiff_t i = 0; i < w->n; i++) {
        if (!is_dead(s, i * each, (i + 1) * each)) continue;
        dead->prompts[dead->n] = w->prompts[i];
        dead->meta[dead->n] = w->meta[i];
        dead->meta_bytes[dead->n++] = w->meta_bytes[i];
    }
    return AE_OK;
}

/* Those of a prompt that are worth something else now take the places of the old ones. */
static void replace(const ae_online *o, ae_online_round *r, ae_written_set *again, double *parts,
                    const ae_online_work *dead, ptrdiff_t each) {
    const size_t columns = o->sources + 1;
    for (ptrdiff_t i = 0; i < dead->n; i++) {
        if (is_dead(again, i * each, (i + 1) * each)) continue;
        for (ptrdiff_t j = 0; j < each; j++) {
            const ptrdiff_t from = i * each + j, to = dead->prompts[i].place * each + j;
            const ae_written old = r->answers.items[to];
            r->answers.items[to] = again->items[from];
            r->answers.items[to].seen.prompt = old.seen.prompt;
            again->items[from] = old;
            memcpy(r->parts + (size_t)to * columns, parts + (size_t)from * columns, columns * sizeof *parts);
        }
    }
}

/* One more try; *left: whether some are dead. */
static ae_status try_again(const ae_online *o, ae_online_round *r, const ae_online_work *w,
                           const ae_online_asking *asking, bool *left) {
    const ptrdiff_t each = r->answers.n / w->n;
    ae_online_work dead = {0};
    ae_written_set again = {0};
    double *parts = NULL;
    ae_status st = list_dead(w, &r->answers, each, &dead);
    *left = dead.n > 0;
    if (st == AE_OK && *left) st = write_answers(o, &dead, asking, &again);
    if (st == AE_OK && *left) st = reward(o, &dead, &again, &parts);
    if (st == AE_OK && *left) replace(o, r, &again, parts, &dead, each);
    ae_written_set_free(&again);
    free(parts);
    free(dead.prompts);
    free(dead.meta);
    free(dead.meta_bytes);
    return st;
}

static ae_status resample(const ae_online *o, ae_online_round *r, const ae_online_work *w,
                          const ae_online_asking *asking) {
    enum { TRIES = 3 };
    bool left = true;
    ae_status st = AE_OK;
    for (int i = 1; i <= TRIES && left && st == AE_OK; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.again%d", asking->name, i);
        const ae_online_asking again = {name, asking->round, asking->counts, false};
        st = try_again(o, r, w, &again, &left);
    }
    return st;
}

/* ---- what is learnt from ---- */

static ae_status choose_read(const ae_online *o, ae_written_set *s) {
    const size_t n = (size_t)s->n;
    if (!o->method->imitates) return AE_OK;
    ae_rl_answer *seen = calloc(n, sizeof *seen);
    bool *wanted = calloc(n, sizeof *wanted);
    const ae_status st = seen && wanted ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    for (size_t i = 0; st == AE_OK && i < n; i++) seen[i] = s->items[i].seen;
    if (st == AE_OK)
        o->method->imitates(&o->config->keys,
                            &(ae_rl_batch){.answers = seen, .n = s->n, .prompts = s->prompts}, wanted);
    for (size_t i = 0; st == AE_OK && i < n; i++)
        s->items[i].unread = s->items[i].seen.writer != AE_RL_POLICY && !wanted[i];
    free(seen);
    free(wanted);
    return st;
}

/* ---- the whole ---- */

static void keep_drawn(ae_written_set *s) {
    for (ptrdiff_t i = 0; i < s->n; i++)
        if (s->items[i].drawn)
            memcpy(ae_written_values(s, i, AE_WRITTEN_SAMPLED), s->items[i].drawn,
                   (size_t)s->items[i].seen.n * sizeof(float));
}

ae_status ae_online_round_pack(const ae_online *o, ae_online_round *r) {
    if (r->batch.B > 0) return AE_OK;
    return ae_packed_make(&r->batch, &r->answers, (ptrdiff_t)o->tuned.run->config->train.row_tokens,
                          o->config->keys.rl.share_prompts);
}

ae_status ae_online_round_make(ae_online *o, ae_online_round *r, const ae_online_work *w,
                               const ae_online_asking *asking) {
    ae_status st = AE_OK;
    if (!asking->evaluates) AE_TRY(ae_rl_models_update_copy(&o->models));
    AE_TRY(write_answers(o, w, asking, &r->answers));
    AE_TRY(reward(o, w, &r->answers, &r->parts));
    if (!asking->evaluates && o->config->keys.rl.method == AE_RL_GRPO && o->config->keys.grpo.resample)
        AE_TRY(resample(o, r, w, asking));
    if (!asking->evaluates) AE_TRY(choose_read(o, &r->answers));
    AE_TRY(ae_written_set_take(&r->answers, ae_online_arrays(o)));
    keep_drawn(&r->answers);
    AE_TRY(ae_online_round_pack(o, r));
out:
    return st;
}
