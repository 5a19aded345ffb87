#include "train/samples.h"

#include "core/file.h"
#include "core/log.h"
#include "eval/generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Mostly no token is shorter than a byte, and a normaliser may put a space before the text. Where it
 * writes longer forms the prompt is read in more than one chunk. */
ptrdiff_t ae_sample_prompt_tokens(const ae_train_config *c, const ae_tokenizer *tokenizer) {
    enum { BOS_AND_SPACE = 4 };
    const ae_train_keys *t = &c->train;
    if (!tokenizer || t->sample_tokens == 0) return 0;
    return (ptrdiff_t)strlen(t->sample_prompt) + BOS_AND_SPACE;
}

typedef struct {
    const ae_run_facts *run;
    int64_t step;
    ae_tokenizer *tokenizer;
    bool given; /* the one prompt was taken */
} context;

static ae_status next_prompt(void *data, ae_ids *prompt, bool *more) {
    context *c = data;
    const char *text = c->run->config->train.sample_prompt;
    *more = !c->given;
    if (c->given) return AE_OK;
    c->given = true;
    int32_t bos = ae_tokenizer_special(c->tokenizer).bos;
    const ae_status st = ae_ids_append(prompt, bos >= 0 ? bos : 0);
    return st == AE_OK ? ae_tokenizer_encode(c->tokenizer, text, strlen(text), prompt) : st;
}

static ae_status write_answer(void *data, const ae_answer *answer) {
    const context *c = data;
    const char *prompt = c->run->config->train.sample_prompt;
    char name[64];
    size_t begin = strlen(prompt), n = begin + answer->text_bytes + 1;
    char *text = malloc(n);
    if (!text) return AE_FAIL(AE_ERR_RESOURCE, "sample: out of memory");
    memcpy(text, prompt, begin);
    memcpy(text + begin, answer->text, answer->text_bytes); /* which may hold NUL bytes */
    text[n - 1] = '\n';
    snprintf(name, sizeof name, "samples/step-%06lld.txt", (long long)c->step);
    char *path = ae_path_join(c->run->config->run.dir, name);
    ae_status st = ae_file_write(path, text, n);
    free(text);
    free(path);
    return st;
}

static ae_status check(void *data) {
    const context *c = data;
    if (!*c->run->stop) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "sampling: interrupted");
}

ae_status ae_sample_write(const ae_run_facts *run, int64_t step, const ae_model *model,
                          ae_tokenizer *tokenizer) {
    const ae_train_keys *t = &run->config->train;
    const ptrdiff_t prompt_tokens = ae_sample_prompt_tokens(run->config, tokenizer);
    if (prompt_tokens == 0) return AE_OK;
    context c = {.run = run, .step = step, .tokenizer = tokenizer};
    int32_t eos = ae_tokenizer_special(tokenizer).eos;
    ae_generation how = {.each = {.sampling = {.temperature = t->sample_temperature, .top_k = 0, .top_p = 1},
                                  .seed = run->seed + (uint64_t)step,
                                  .max_new = t->sample_tokens,
                                  .end_ids = &eos,
                                  .n_end_ids = eos >= 0},
                         .batch = 1,
                         .prompt_tokens = prompt_tokens};
    ae_generate_io io = {.next = next_prompt, .done = write_answer, .check = check, .context = &c};
    char *folder = ae_path_join(run->config->run.dir, "samples");
    ae_status st = ae_folder_make(folder);
    if (st == AE_OK) st = ae_generate(model, tokenizer, &how, &io);
    free(folder);
    return st;
}
