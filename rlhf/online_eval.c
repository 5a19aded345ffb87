#include "core/file.h"
#include "rlhf/online_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 4 };

/* ---- samples ---- */

static void tell_rewards(const ae_online *o, const ae_online_round *r, ptrdiff_t i, FILE *out) {
    const double *parts = r->parts + (size_t)i * (o->sources + 1);
    fprintf(out, "[%td tokens%s", r->answers.items[i].seen.n,
            r->answers.items[i].seen.truncated ? ", cut" : "");
    if (o->sources > 0) fprintf(out, "; reward %.4g", parts[o->sources]);
    for (size_t k = 0; k < o->sources && o->sources > 1; k++)
        fprintf(out, "%s %s %.4g", k == 0 ? ":" : ",", ae_rewards_name(o->rewards, k), parts[k]);
    fputs("]\n\n----\n\n", out);
}

static ae_status tell_answer(const ae_online *o, const ae_online_round *r, ptrdiff_t i, FILE *out) {
    const ae_written *w = &r->answers.items[i];
    char *text = NULL;
    size_t n = 0;
    const ae_status st = ae_tokenizer_decode(o->tuned.inputs.tokenizer, w->tokens, w->n_prompt, &text, &n);
    if (st != AE_OK) return st;
    fwrite(text, 1, n, out);
    fwrite(w->text, 1, w->text_bytes, out);
    fputs("\n", out);
    tell_rewards(o, r, i, out);
    free(text);
    return AE_OK;
}

/* The text of ae_online_sample. */
static ae_status keep_samples(ae_online *o, const ae_online_round *r) {
    size_t n = 0;
    ae_status st = AE_OK;
    free(o->samples);
    o->samples = NULL;
    if (!o->tuned.inputs.tokenizer) return AE_OK;
    FILE *out = open_memstream(&o->samples, &n);
    if (!out) return AE_FAIL(AE_ERR_RESOURCE, "samples: out of memory");
    for (ptrdiff_t i = 0; st == AE_OK && i < r->answers.n && i < SAMPLES; i++) st = tell_answer(o, r, i, out);
    if (fclose(out) != 0 && st == AE_OK) st = AE_FAIL(AE_ERR_RESOURCE, "samples: out of memory");
    return st;
}

ae_status ae_online_sample(void *self, int64_t step) {
    const ae_online *o = self;
    char name[64];
    if (!o->samples) return AE_OK;
    snprintf(name, sizeof name, "samples/step-%06lld.txt", (long long)step);
    char *folder = ae_path_join(o->tuned.run->config->run.dir, "samples");
    char *path = ae_path_join(o->tuned.run->config->run.dir, name);
    ae_status st = ae_folder_make(folder);
    if (st == AE_OK) st = ae_file_write(path, o->samples, strlen(o->samples));
    free(folder);
    free(path);
    return st;
}

/* ---- evaluations ---- */

static void add_numbers(const ae_online *o, const ae_online_round *r, ae_evaluation *e) {
    const ae_online_means m = ae_online_means_of(o, r);
    int told = 0;
    if (o->sources > 0) {
        ae_numbers_add(&e->numbers, "eval_reward", m.reward);
        ae_numbers_add(&e->numbers, "eval_reward_std", m.reward_std);
        told = snprintf(e->told, sizeof e->told, "held-out reward %.4f, ", m.reward);
        for (size_t i = 0; i < o->sources; i++)
            ae_numbers_add(&e->numbers, o->eval_names[i], ae_online_part_mean(o, r, i));
    }
    ae_numbers_add(&e->numbers, "eval_kl", m.kl);
    ae_numbers_add(&e->numbers, "eval_entropy", m.entropy);
    ae_numbers_add(&e->numbers, "eval_length", m.length);
    ae_numbers_add(&e->numbers, "eval_truncated", m.truncated);
    snprintf(e->told + told, sizeof e->told - (size_t)told,
             "KL %.3f nats, %.1f tokens an answer, %.1f %% cut", m.kl, m.length, 100 * m.truncated);
}

/* The same answers' places at every evaluation. */
ae_status ae_online_evaluate(void *self, ae_evaluation *e) {
    static const int64_t one[AE_RL_WRITERS] = {[AE_RL_POLICY] = 1};
    ae_online *o = self;
    ae_online_work *w = NULL;
    ae_online_round r = {0};
    ae_scorer k = ae_rl_models_scorer(&o->models);
    k.anchor = NULL;
    k.critic = NULL;
    const ae_online_asking asking = {"rl.evaluation", 0, one};
    ae_status st = ae_online_new_work(o, (void **)&w);
    if (st != AE_OK) return st;
    const ptrdiff_t n =
        (ptrdiff_t)ae_min((ptrdiff_t)o->config->keys.rl.eval_prompts, (ptrdiff_t)o->heldout.n);
    AE_TRY(ae_online_take_prompts(w, &o->heldout, n));
    AE_TRY(ae_online_round_make(o, &r, w, &asking));
    AE_TRY(ae_scores_read(&k, &r.batch, &r.answers, true));
    add_numbers(o, &r, e);
    AE_TRY(keep_samples(o, &r));
out:
    ae_online_round_free(&r);
    ae_online_free_work(o, w);
    return st;
}
