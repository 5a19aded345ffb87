#include "cli/judge_answers.h"

#include "cli/interrupt.h"
#include "cli/loaded.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "data/render.h"
#include "eval/generate.h"
#include "eval/probe.h"
#include "eval/request.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const ae_judge_asked *asked;
    const json_t *items;
    ae_request_rules rules;
    bool begun;       /* the file has its first line */
    size_t next;      /* the item whose prompt is taken next */
    size_t done;      /* answers in the file */
    size_t cut;       /* answers that came to --max-new */
    ptrdiff_t tokens; /* of answers of this process */
    double started_s;
    char probe[AE_PROBE_BYTES]; /* of the model that wrote them; "" before the first */
    FILE *file;
    ae_progress bar;
} desk;

/* ---- the file ---- */

static ae_status take_answer(desk *d, const json_t *line, const char *where) {
    json_t *item = json_array_get(d->items, d->done), *text = json_object_get(line, "answer");
    const char *finish = json_string_value(json_object_get(line, "finish"));
    if (!json_is_string(text) || !item)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected {\"answer\": text} for one of %zu prompts, found another line", where,
                       json_array_size(d->items));
    json_array_append(json_object_get(item, "answers"), text);
    d->cut += finish && strcmp(finish, "length") == 0;
    d->done++;
    return AE_OK;
}

/* The first line says which model it was. */
static ae_status take_line(void *context, json_t *line, const char *where) {
    desk *d = context;
    const char *probe = json_string_value(json_object_get(line, "probe"));
    if (!probe || d->probe[0]) return take_answer(d, line, where);
    snprintf(d->probe, sizeof d->probe, "%s", probe);
    return AE_OK;
}

/* Takes whole lines that are there, and cuts off what comes after them. */
static ae_status read_file(desk *d) {
    size_t whole;
    const ae_status st = ae_json_whole_lines(d->asked->file, take_line, d, &whole);
    if (st == AE_OK && ae_file_size(d->asked->file) > (int64_t)whole &&
        truncate(d->asked->file, (off_t)whole) != 0)
        return ae_output_failed(d->asked->file);
    return st;
}

/* ---- prompts and answers ---- */

static json_t *request_of(const desk *d, const json_t *item) {
    json_t *prompt = json_object_get(item, "prompt");
    if (json_is_array(prompt)) return json_pack("{s:O}", "messages", prompt);
    if (d->asked->plain) return json_pack("{s:O}", "prompt", prompt);
    return json_pack("{s:[{s:s, s:O}]}", "messages", "role", "user", "content", prompt);
}

static ae_status next_prompt(void *context, ae_ids *ids, bool *more) {
    desk *d = context;
    const json_t *item = json_array_get(d->items, d->next);
    char where[128];
    *more = item != NULL;
    if (ae_interrupt_check() != AE_OK) return AE_ERR_INTERRUPTED;
    if (!item) return AE_OK;
    d->next++;
    snprintf(where, sizeof where, "item %.100s", json_string_value(json_object_get(item, "id")));
    json_t *request = request_of(d, item);
    const ae_status st = request ? ae_request_prompt(request, &d->rules, where, ids)
                                 : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    json_decref(request);
    return st;
}

static void show(desk *d) {
    char count[32], detail[96];
    const double seconds = ae_now_s() - d->started_s;
    ae_format_count(count, sizeof count, (double)d->tokens);
    snprintf(detail, sizeof detail, "%s tok  %.0f tok/s", count,
             seconds > 0 ? (double)d->tokens / seconds : 0);
    ae_progress_show(&d->bar, (int64_t)d->done, detail);
}

static ae_status keep_answer(void *context, const ae_answer *a) {
    desk *d = context;
    json_t *text = json_stringn(a->text, a->text_bytes);
    json_t *line =
        json_pack("{s:O, s:s}", "answer", text, "finish", a->end == AE_ANSWER_STOPPED ? "stop" : "length");
    ae_status st = line ? ae_json_write_line(line, d->file, d->asked->file)
                        : AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    if (st == AE_OK && fflush(d->file) != 0) st = ae_output_failed(d->asked->file);
    if (st == AE_OK) json_array_append(json_object_get(json_array_get(d->items, d->done), "answers"), text);
    json_decref(line);
    json_decref(text);
    if (st != AE_OK) return st;
    d->cut += a->end != AE_ANSWER_STOPPED;
    d->tokens += a->tokens.n;
    d->done++;
    show(d);
    return AE_OK;
}

static ae_status check(void *context) {
    show(context);
    return ae_interrupt_check();
}

/* Answers of two states of a model are not one model's. */
static ae_status check_probe(const desk *d, const char *found) {
    if (!d->probe[0] || strcmp(d->probe, found) == 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE,
                   "%s: expected the model that wrote the first %zu answers, found another; name another "
                   "--output",
                   d->asked->path, d->done);
}

static ae_status begin_file(desk *d) {
    if (d->begun) return AE_OK;
    json_t *line = json_pack("{s:s}", "probe", d->probe);
    const ae_status st = line ? ae_json_write_line(line, d->file, d->asked->file)
                              : AE_FAIL(AE_ERR_RESOURCE, "answers: out of memory");
    json_decref(line);
    return st;
}

static ae_status answer_rest(desk *d, const ae_loaded *l) {
    int32_t ends[AE_ENDS_MAX + 2];
    ae_generation how = {.each = {.end_ids = ends}, .batch = d->asked->batch};
    const ae_generate_io io = {next_prompt, keep_answer, NULL, check, d};
    how.each.n_end_ids = ae_answer_end_ids(&l->model.config, l->tokenizer, ends);
    ae_sampling_apply(d->asked->sampling, true, &how.each);
    how.each.stream = d->next = d->done;
    d->file = fopen(d->asked->file, "ae");
    if (!d->file) return ae_output_failed(d->asked->file);
    ae_status st = begin_file(d);
    ae_progress_init(&d->bar, d->asked->name, (int64_t)d->done, (int64_t)json_array_size(d->items));
    d->bar.unit = "answer";
    d->started_s = ae_now_s();
    if (st == AE_OK) st = ae_generate(&l->model, l->tokenizer, &how, &io);
    ae_progress_end(&d->bar);
    if (fclose(d->file) != 0 && st == AE_OK) st = ae_output_failed(d->asked->file);
    return st;
}

static ae_status check_model(const desk *d, const ae_loaded *l) {
    if (!l->tokenizer)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a model with a tokenizer, found none; people judge text",
                       d->asked->path);
    if (d->asked->plain || ae_tokenizer_special(l->tokenizer).start_of_turn >= 0) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected a tokenizer with turns of a dialogue, found none; --plain has models go "
                   "on with the prompts",
                   d->asked->path);
}

ae_status ae_judge_answers_make(const ae_judge_asked *a, const json_t *items, json_t *about) {
    desk d = {.asked = a, .items = items};
    ae_loaded loaded = {0};
    char found[AE_PROBE_BYTES];
    ae_status st;
    AE_TRY(read_file(&d));
    AE_TRY(ae_loaded_open(&loaded, a->path, NULL, a->dtype, a->threads));
    AE_TRY(check_model(&d, &loaded));
    AE_TRY(ae_model_probe(&loaded.model, found));
    AE_TRY(check_probe(&d, found));
    d.begun = d.probe[0];
    snprintf(d.probe, sizeof d.probe, "%s", found);
    d.rules = (ae_request_rules){loaded.tokenizer, loaded.model.config.V, true};
    if (d.done < json_array_size(items)) AE_TRY(answer_rest(&d, &loaded));
    json_object_set_new(about, "probe", json_string(found));
    json_object_set_new(about, "cut", json_integer((json_int_t)d.cut));
    ae_log("%s: %zu answers%s", a->name, d.done, d.cut ? "" : ", all of them ended");
    if (d.cut) ae_warn("%s: %zu of %zu answers are cut off at --max-new", a->name, d.cut, d.done);
out:
    ae_loaded_close(&loaded);
    return st;
}
