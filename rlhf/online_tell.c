#include "core/file.h"
#include "core/json.h"
#include "rlhf/estimates.h"
#include "rlhf/online_parts.h"

#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES = 4 };

/* ---- a few answers as text ---- */

static void tell_rewards(const ae_online *o, const ae_online_round *r, ptrdiff_t i, FILE *out) {
    const double *parts = r->parts + (size_t)i * (o->sources + 1);
    fprintf(out, "[%td tokens%s", r->answers.items[i].seen.n,
            r->answers.items[i].seen.truncated ? ", cut" : "");
    if (o->sources > 0) fprintf(out, "; reward %.4g", parts[o->sources]);
    for (size_t k = 0; k < o->sources && o->sources > 1; k++)
        fprintf(out, "%s %s %.4g", k == 0 ? ":" : ",", ae_rewards_name(o->rewards, k), parts[k]);
    fputs("]\n\n----\n\n", out);
}

static ae_status tell_sample(const ae_online *o, const ae_online_round *r, ptrdiff_t i, FILE *out) {
    const ae_written *w = &r->answers.items[i];
    char *text = NULL;
    size_t n = 0;
    if (i >= SAMPLES || !o->tuned.inputs.tokenizer) return AE_OK;
    const ae_status st = ae_tokenizer_decode(o->tuned.inputs.tokenizer, w->tokens, w->n_prompt, &text, &n);
    if (st != AE_OK) return st;
    fwrite(text, 1, n, out);
    fwrite(w->text, 1, w->text_bytes, out);
    fputs("\n", out);
    tell_rewards(o, r, i, out);
    free(text);
    return AE_OK;
}

/* ---- a line a prompt ---- */

static json_t *rewards_of(const ae_online *o, const double *parts) {
    json_t *rewards = json_object();
    for (size_t k = 0; k < o->sources; k++)
        json_object_set_new(rewards, ae_rewards_name(o->rewards, k), ae_json_number(parts[k]));
    return rewards;
}

static json_t *text_or_null(const char *text, size_t n) {
    return text ? json_stringn(text, n) : json_null();
}

static ae_status tell_line(const ae_online *o, const ae_online_round *r, ptrdiff_t i, FILE *out) {
    static const char name[] = "results of an evaluation";
    const ae_written *w = &r->answers.items[i];
    const double *parts = r->parts + (size_t)i * (o->sources + 1);
    const ae_tokenizer *t = o->tuned.inputs.tokenizer;
    char *prompt = NULL;
    size_t n = 0;
    ae_status st = t ? ae_rewarded_text(t, w->tokens, w->n_prompt, &prompt, &n) : AE_OK;
    if (st != AE_OK) return st;
    json_t *line = json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:b}", "prompt", text_or_null(prompt, n),
                             "answer", text_or_null(t ? w->text : NULL, w->text_bytes), "reward",
                             ae_json_number(parts[o->sources]), "rewards", rewards_of(o, parts), "kl",
                             ae_json_number(ae_answer_sum(w->seen.kl, w->seen.n)), "tokens",
                             (json_int_t)w->seen.n, "truncated", (int)w->seen.truncated);
    st = line ? ae_json_write_line(line, out, name) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", name);
    json_decref(line);
    free(prompt);
    return st;
}

/* ---- the whole ---- */

typedef ae_status tell_fn(const ae_online *o, const ae_online_round *r, ptrdiff_t i, FILE *out);

static ae_status tell_all(const ae_online *o, const ae_online_round *r, tell_fn *tell, char **text,
                          size_t *n) {
    ae_status st = AE_OK;
    FILE *out = open_memstream(text, n);
    for (ptrdiff_t i = 0; out && st == AE_OK && i < r->answers.n; i++) st = tell(o, r, i, out);
    if ((!out || fclose(out) != 0) && st == AE_OK) st = AE_FAIL(AE_ERR_RESOURCE, "samples: out of memory");
    return st;
}

ae_status ae_online_tell(ae_online *o, const ae_online_round *r) {
    ae_online_told *t = &o->told;
    ae_online_tell_free(t);
    const ae_status st = tell_all(o, r, tell_sample, &t->samples, &t->samples_bytes);
    return st == AE_OK ? tell_all(o, r, tell_line, &t->lines, &t->lines_bytes) : st;
}

static ae_status write_text(const char *run, const char *folder, const char *file, const char *text,
                            size_t n) {
    char *where = ae_path_join(run, folder), *path = ae_path_join(where, file);
    ae_status st = text && n > 0 ? ae_folder_make(where) : AE_OK;
    if (text && n > 0 && st == AE_OK) st = ae_file_write(path, text, n);
    free(where);
    free(path);
    return st;
}

ae_status ae_online_sample(void *self, int64_t step) {
    const ae_online *o = self;
    const ae_online_told *t = &o->told;
    const char *run = o->tuned.run->config->run.dir;
    char samples[64], lines[64];
    snprintf(samples, sizeof samples, "step-%06lld.txt", (long long)step);
    snprintf(lines, sizeof lines, "step-%06lld.jsonl", (long long)step);
    const ae_status st = write_text(run, "samples", samples, t->samples, t->samples_bytes);
    return st == AE_OK ? write_text(run, "evaluations", lines, t->lines, t->lines_bytes) : st;
}

void ae_online_tell_free(ae_online_told *t) {
    free(t->samples);
    free(t->lines);
    *t = (ae_online_told){0};
}
