#include "train/answers.h"

#include "core/dims.h"
#include "data/document.h"
#include "eval/generate.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 16 };

/* One example: the prompt is tokens [0, begin), the answer [begin, end). */
typedef struct {
    ae_document document;
    int64_t begin, end;
} example;

typedef struct {
    const ae_answers_request *r;
    ae_answers *result;
    int64_t next, done;            /* documents */
    int32_t ends[AE_ENDS_MAX + 2]; /* ids that end an answer */
    size_t n_ends;
} context;

static int64_t count(const ae_answers_request *r) {
    return ae_min(r->n, ae_token_set_documents(r->examples));
}

static void example_free(example *e) {
    ae_document_free(&e->document);
    *e = (example){0};
}

static ae_status example_read(example *e, const ae_answers_request *r, int64_t document) {
    const ae_status st = ae_document_read(&e->document, r->examples, document, INT64_MAX);
    const uint8_t *mask = e->document.mask;
    if (st != AE_OK) {
        example_free(e);
        return st;
    }
    e->end = e->document.n;
    while (e->end > 1 && !mask[e->end - 1]) e->end--;
    e->begin = e->end;
    while (e->begin > 1 && mask[e->begin - 1]) e->begin--;
    return AE_OK;
}

/* Examples without an answer are passed over. */
static ae_status next_prompt(void *data, ae_ids *prompt, bool *more) {
    context *c = data;
    ae_status st = AE_OK;
    example e = {0};
    *more = false;
    while (!*more && st == AE_OK && c->next < count(c->r)) {
        st = example_read(&e, c->r, c->next++);
        *more = st == AE_OK && e.begin < e.end;
        for (int64_t i = 0; *more && i < e.begin && st == AE_OK; i++)
            st = ae_ids_append(prompt, e.document.ids[i]);
        example_free(&e);
    }
    return st;
}

static ae_status tell(const ae_answers_request *r, const example *e, const ae_answer *answer) {
    char *text = NULL;
    size_t n = 0;
    if (!r->told || !r->tokenizer) return AE_OK;
    const ae_status st = ae_tokenizer_decode(r->tokenizer, e->document.ids, (ptrdiff_t)e->begin, &text, &n);
    if (st != AE_OK) return st;
    fprintf(r->told, "%s", text);
    fwrite(answer->text, 1, answer->text_bytes, r->told);
    fputs(answer->end == AE_ANSWER_STOPPED ? "\n\n----\n\n" : " ...\n\n----\n\n", r->told);
    free(text);
    return AE_OK;
}

static bool ends(const context *c, int32_t id) {
    for (size_t i = 0; i < c->n_ends; i++)
        if (c->ends[i] == id) return true;
    return false;
}

/* Token by token; an example that does not end its answer, as rows of token ids may, says nothing of what
 * follows. */
static bool is_right(const context *c, const example *e, const ae_answer *answer) {
    const int64_t n = e->end - e->begin;
    const bool fits = ends(c, e->document.ids[e->end - 1]) ? answer->tokens.n == n : answer->tokens.n >= n;
    return fits &&
           memcmp(answer->tokens.ids, e->document.ids + e->begin, (size_t)n * sizeof *e->document.ids) == 0;
}

/* Answers come in the order of the prompts. */
static ae_status take_answer(void *data, const ae_answer *answer) {
    context *c = data;
    example e = {0};
    ae_status st = AE_OK;
    do {
        example_free(&e);
        st = example_read(&e, c->r, c->done++);
    } while (st == AE_OK && e.begin == e.end);
    if (st != AE_OK) return st;
    const bool same = is_right(c, &e, answer);
    c->result->asked++;
    c->result->right += same;
    c->result->ended += answer->end == AE_ANSWER_STOPPED;
    st = tell(c->r, &e, answer);
    example_free(&e);
    return st;
}

static ae_status check(void *data) {
    const context *c = data;
    if (!c->r->stop || !*c->r->stop) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "answers: interrupted");
}

ae_status ae_answers_too_long(const ae_answers_request *r, int64_t *n) {
    ae_status st = AE_OK;
    *n = 0;
    for (int64_t d = 0; d < count(r) && st == AE_OK; d++) {
        example e = {0};
        st = example_read(&e, r, d);
        *n += st == AE_OK && e.end - e.begin > r->max_new;
        example_free(&e);
    }
    return st;
}

void ae_answers_sizes(const ae_answers_request *r, ptrdiff_t *prompt_tokens, ptrdiff_t *batch) {
    const int64_t *starts = ae_token_set_doc_starts(r->examples);
    *prompt_tokens = 1;
    *batch = (ptrdiff_t)ae_max(1, ae_min(BATCH, count(r)));
    for (int64_t d = 0; d < count(r); d++)
        *prompt_tokens = (ptrdiff_t)ae_max(*prompt_tokens, starts[d + 1] - starts[d]);
}

ae_status ae_answers_make(ae_answers *a, const ae_answers_request *r) {
    context c = {.r = r, .result = a};
    ptrdiff_t prompt_tokens, batch;
    *a = (ae_answers){0};
    c.n_ends = ae_answer_end_ids(&r->model->config, r->tokenizer, c.ends);
    ae_answers_sizes(r, &prompt_tokens, &batch);
    const ae_generation how = {.each = {.sampling = {.temperature = 0, .top_p = 1},
                                        .max_new = r->max_new,
                                        .end_ids = c.ends,
                                        .n_end_ids = c.n_ends},
                               .batch = batch,
                               .prompt_tokens = prompt_tokens};
    const ae_generate_io io = {.next = next_prompt, .done = take_answer, .check = check, .context = &c};
    return ae_generate(r->model, r->tokenizer, &how, &io);
}
