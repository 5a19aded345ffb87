#include "benchmark/documents_parts.h"
#include "benchmark/template_parts.h"
#include "core/file.h"
#include "core/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is being asked of one row, and what messages call it. */
typedef struct {
    const ae_task_documents *d;
    const json_t *row;
    const json_t *more;
    json_t *computed; /* lets of the row */
    char place[AE_WHERE_BYTES];
    char where[AE_WHERE_BYTES + 32]; /* place: key */
} asked;

static ae_status no_memory(const asked *a) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", a->place);
}

static ae_template_scope scope_of(asked *a, const char *key) {
    const struct ae_task_text *t = a->d->task->text;
    snprintf(a->where, sizeof a->where, "%s: %s", a->place, key);
    return (ae_template_scope){t->lets, t->n_lets, a->row, a->more, a->where, a->computed};
}

static ae_status value_of(json_t **value, asked *a, const ae_template *t, const char *key) {
    const ae_template_scope scope = scope_of(a, key);
    return ae_template_value(value, t, &scope);
}

static ae_status text_of(char **text, asked *a, const ae_template *t, const char *key) {
    const ae_template_scope scope = scope_of(a, key);
    return ae_template_text(text, t, &scope);
}

static bool is_text_like(const json_t *v) {
    return json_is_string(v) || json_is_number(v) || json_is_boolean(v);
}

static void texts_free(char **texts, size_t n) {
    for (size_t i = 0; i < n && texts != NULL; i++) free(texts[i]);
    free(texts);
}

/* A text, or a list of texts that is not empty. */
static ae_status texts_of(char ***texts, size_t *n, asked *a, const ae_template *t, const char *key,
                          bool list_only) {
    json_t *v = NULL;
    ae_status st = value_of(&v, a, t, key);
    if (st != AE_OK) return st;
    const bool one = !list_only && is_text_like(v);
    const size_t count = one ? 1 : json_array_size(v);
    if (count == 0)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected %sa list of texts, found %s", a->where,
                     list_only ? "" : "text or ", json_is_array(v) ? "an empty list" : ae_json_type_name(v));
    else if ((*texts = calloc(count, sizeof **texts)) == NULL)
        st = no_memory(a);
    for (size_t i = 0; i < count && st == AE_OK; i++) {
        const json_t *item = one ? v : json_array_get(v, i);
        if (!is_text_like(item))
            st = AE_FAIL(AE_ERR_INPUT, "%s: expected a list of texts, found %s in it", a->where,
                         ae_json_type_name(item));
        else if (((*texts)[i] = ae_value_text(item)) == NULL)
            st = no_memory(a);
        *n = i + 1;
    }
    json_decref(v);
    return st;
}

static ae_status choices_of(char ***texts, size_t *n, asked *a) {
    const struct ae_task_text *t = a->d->task->text;
    const char *key = t->contexts != NULL ? "contexts" : "choices";
    ae_status st = texts_of(texts, n, a, t->contexts != NULL ? t->contexts : t->choices, key, true);
    for (size_t i = 0; i < *n && st == AE_OK; i++)
        if ((*texts)[i][0] == '\0')
            st = AE_FAIL(AE_ERR_INPUT, "%s: %s: expected text, found an empty choice %zu", a->place, key, i);
    return st;
}

static ae_status gold_index(bool *gold, size_t n, const json_t *v, const asked *a) {
    const json_int_t i = json_integer_value(v);
    if (i < 0 || i >= (json_int_t)n)
        return AE_FAIL(AE_ERR_INPUT, "%s: gold: expected a choice from 0 to %zu, found %lld", a->place, n - 1,
                       (long long)i);
    gold[i] = true;
    return AE_OK;
}

static ae_status gold_text(bool *gold, char *const *choices, size_t n, const char *text, const asked *a) {
    for (size_t i = 0; i < n; i++) {
        if (strcmp(choices[i], text) != 0) continue;
        gold[i] = true;
        return AE_OK;
    }
    return AE_FAIL(AE_ERR_INPUT, "%s: gold: expected one of the %zu choices, found \"%.40s\"", a->place, n,
                   text);
}

/* Truth for each choice, or the numbers of those that are right. */
static ae_status gold_list(bool *gold, size_t n, const json_t *list, const asked *a) {
    const json_t *first = json_array_get(list, 0);
    const size_t count = json_array_size(list);
    ae_status st = AE_OK;
    if (count == 0 || (json_is_boolean(first) && count != n))
        return AE_FAIL(AE_ERR_INPUT, "%s: gold: expected %s, found a list of %zu", a->place,
                       count == 0 ? "the numbers of right choices" : "true or false for each choice", count);
    for (size_t i = 0; i < count && st == AE_OK; i++) {
        const json_t *item = json_array_get(list, i);
        if (json_is_boolean(item) && json_is_boolean(first))
            gold[i] = json_is_true(item);
        else if (json_is_integer(item) && json_is_integer(first))
            st = gold_index(gold, n, item, a);
        else
            st = AE_FAIL(AE_ERR_INPUT, "%s: gold: expected whole numbers, or true and false, found %s",
                         a->place, ae_json_type_name(item));
    }
    return st;
}

static ae_status gold_of(bool **gold, char *const *choices, size_t n, asked *a) {
    json_t *v = NULL;
    ae_status st = value_of(&v, a, a->d->task->text->gold, "gold");
    if (st != AE_OK) return st;
    *gold = calloc(n, sizeof **gold);
    if (*gold == NULL)
        st = no_memory(a);
    else if (json_is_integer(v))
        st = gold_index(*gold, n, v, a);
    else if (json_is_string(v))
        st = gold_text(*gold, choices, n, json_string_value(v), a);
    else if (json_is_array(v))
        st = gold_list(*gold, n, v, a);
    else
        st = AE_FAIL(AE_ERR_INPUT, "%s: gold: expected a choice, by number or text, or a list, found %s",
                     a->place, ae_json_type_name(v));
    json_decref(v);
    return st;
}

static ae_status first_gold(size_t *first, const bool *gold, size_t n, const asked *a) {
    for (*first = 0; *first < n; ++*first)
        if (gold[*first]) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: gold: expected a right choice for an example, found none", a->place);
}

/* A context as it grows. */
typedef struct {
    FILE *out;
    char *text;
    size_t size;
    ae_task_turn *turns;
    size_t n_turns;
} writer;

static ae_status write_turn(writer *w, ae_task_turn_role role, const char *text, const char *delimiter,
                            const asked *a) {
    ae_task_turn *more = realloc(w->turns, (w->n_turns + 1) * sizeof *more);
    if (more == NULL) return no_memory(a);
    w->turns = more;
    const size_t begin = (size_t)ftello(w->out);
    fputs(text, w->out);
    w->turns[w->n_turns++] = (ae_task_turn){role, begin, begin + strlen(text)};
    fputs(delimiter, w->out);
    return ferror(w->out) == 0 ? AE_OK : no_memory(a);
}

/* Question and answer of an example of a task with choices. */
static ae_status choice_example(char **question, char **answer, asked *a) {
    const struct ae_task_text *t = a->d->task->text;
    char **choices = NULL;
    size_t n = 0, right = 0;
    bool *gold = NULL;
    ae_status st;
    AE_TRY(choices_of(&choices, &n, a));
    AE_TRY(gold_of(&gold, choices, n, a));
    AE_TRY(first_gold(&right, gold, n, a));
    char **chosen = t->contexts != NULL ? question : answer;
    *chosen = strdup(choices[right]);
    if (*chosen == NULL) {
        st = no_memory(a);
        goto out;
    }
    if (t->contexts != NULL)
        st = text_of(answer, a, t->continuation, "continuation");
    else
        st = text_of(question, a, t->shot_prompt != NULL ? t->shot_prompt : t->prompt, "prompt");
out:
    texts_free(choices, n);
    free(gold);
    return st;
}

static ae_status text_example(char **question, char **answer, asked *a) {
    const struct ae_task_text *t = a->d->task->text;
    char **answers = NULL;
    size_t n = 0;
    ae_status st = text_of(question, a, t->shot_prompt != NULL ? t->shot_prompt : t->prompt, "prompt");
    if (st == AE_OK)
        st = texts_of(&answers, &n, a, t->shot_answer != NULL ? t->shot_answer : t->answer, "answer", false);
    if (st == AE_OK && (*answer = strdup(answers[0])) == NULL) st = no_memory(a);
    texts_free(answers, n);
    return st;
}

/* Names the row of an example in messages. */
static asked example_at(const asked *a, size_t place) {
    const ae_task_documents *d = a->d;
    asked e = {
        .d = d, .row = ae_task_documents_example(d, place), .more = d->more, .computed = json_object()};
    if (d->task->text->examples != NULL)
        snprintf(e.place, sizeof e.place, "%.2000s: fewshot.examples[%zu]", d->task->file, place);
    else if (d->task->text->shots.n_files > 0)
        ae_rows_where(e.place, sizeof e.place, &d->pool.rows, d->pool.kept[place]);
    else
        ae_task_documents_where(e.place, sizeof e.place, d, (ptrdiff_t)place);
    return e;
}

static ae_status write_example(writer *w, const asked *a, size_t place) {
    const ae_task *task = a->d->task;
    asked e = example_at(a, place);
    char *question = NULL, *answer = NULL;
    ae_status st;
    if (task->kind != AE_TASK_CHOICE && task->text->answer == NULL && task->text->shot_answer == NULL) {
        st = AE_FAIL(AE_ERR_USAGE,
                     "%s: answer: expected a template, as examples are asked for, found no such key",
                     task->file);
        goto out;
    }
    AE_TRY(task->kind == AE_TASK_CHOICE ? choice_example(&question, &answer, &e)
                                        : text_example(&question, &answer, &e));
    AE_TRY(write_turn(w, AE_TURN_USER, question, answer[0] != '\0' ? task->target_delimiter : "", &e));
    if (answer[0] != '\0') st = write_turn(w, AE_TURN_ASSISTANT, answer, task->shot_delimiter, &e);
out:
    json_decref(e.computed);
    free(question);
    free(answer);
    return st;
}

/* Description and examples. */
static ae_status write_head(writer *w, asked *a, ptrdiff_t i) {
    const ae_task_documents *d = a->d;
    char *description = NULL;
    ae_status st = AE_OK;
    if (d->task->text->description != NULL) {
        st = text_of(&description, a, d->task->text->description, "description");
        if (st == AE_OK && description[0] != '\0') st = write_turn(w, AE_TURN_SYSTEM, description, "", a);
    }
    for (int k = 0; k < d->shots && st == AE_OK; k++)
        st = write_example(w, a, d->drawn[(size_t)i * (size_t)d->shots + (size_t)k]);
    free(description);
    return st;
}

/* A context: head, question. The writer's memory goes to its caller. */
static ae_status write_context(writer *w, asked *a, ptrdiff_t i, const char *question) {
    w->out = open_memstream(&w->text, &w->size);
    if (w->out == NULL) return no_memory(a);
    ae_status st = write_head(w, a, i);
    if (st == AE_OK) st = write_turn(w, AE_TURN_USER, question, "", a);
    if (fclose(w->out) != 0 && st == AE_OK) st = no_memory(a);
    return st;
}

/* The same head with another question. */
static char *with_question(const writer *w, const char *question) {
    const size_t head = w->turns[w->n_turns - 1].begin, n = strlen(question);
    char *text = malloc(head + n + 1);
    if (text == NULL) return NULL;
    memcpy(text, w->text, head);
    memcpy(text + head, question, n + 1);
    return text;
}

static char *joined(const char *a, const char *b) {
    char *text = NULL;
    return asprintf(&text, "%s%s", a, b) < 0 ? NULL : text;
}

static ae_status ask_choices(ae_request *r, asked *a, ptrdiff_t i, writer *w) {
    const struct ae_task_text *t = a->d->task->text;
    const char *delimiter = a->d->task->target_delimiter;
    size_t n = 0;
    char *question = NULL, *continuation = NULL;
    ae_status st = choices_of(&r->choices, &n, a);
    r->n_choices = (ptrdiff_t)n;
    r->partial = t->contexts != NULL;
    if (st != AE_OK) return st;
    AE_TRY(gold_of(&r->gold, r->choices, n, a));
    AE_TRY(r->partial ? text_of(&continuation, a, t->continuation, "continuation")
                      : text_of(&question, a, t->prompt, "prompt"));
    AE_TRY(write_context(w, a, i, r->partial ? r->choices[0] : question));
    r->contexts = calloc(n, sizeof *r->contexts);
    r->continuations = calloc(n, sizeof *r->continuations);
    if (r->contexts == NULL || r->continuations == NULL) st = no_memory(a);
    for (size_t c = 0; c < n && st == AE_OK; c++) {
        r->contexts[c] = r->partial && c > 0 ? with_question(w, r->choices[c]) : w->text;
        r->continuations[c] = joined(delimiter, r->partial ? continuation : r->choices[c]);
        if (r->contexts[c] == NULL || r->continuations[c] == NULL) st = no_memory(a);
    }
out:
    free(question);
    free(continuation);
    return st;
}

static ae_status ask_text(ae_request *r, asked *a, ptrdiff_t i, writer *w) {
    const struct ae_task_text *t = a->d->task->text;
    char *question = NULL;
    ae_status st = text_of(&question, a, t->prompt, "prompt");
    if (st == AE_OK) st = write_context(w, a, i, question);
    if (st == AE_OK && t->answer != NULL)
        st = texts_of(&r->references, &r->n_references, a, t->answer, "answer", false);
    if (st == AE_OK && (r->contexts = calloc(1, sizeof *r->contexts)) == NULL) st = no_memory(a);
    if (st == AE_OK) r->contexts[0] = w->text;
    free(question);
    return st;
}

static ae_status read_facts(ae_request *r, asked *a) {
    const struct ae_task_text *t = a->d->task->text;
    ae_status st = AE_OK;
    r->facts = json_object();
    if (r->facts == NULL) return no_memory(a);
    for (size_t i = 0; i < t->n_facts && st == AE_OK; i++) {
        json_t *v = NULL;
        st = value_of(&v, a, t->facts[i].value, t->facts[i].name);
        if (st == AE_OK && json_object_set_new(r->facts, t->facts[i].name, v) != 0) st = no_memory(a);
    }
    if (st != AE_OK) return st;
    if (t->by != NULL) return text_of(&r->group, a, t->by, "by");
    r->group = strdup("");
    return r->group != NULL ? AE_OK : no_memory(a);
}

ae_status ae_request_make(ae_request *r, const ae_task_documents *d, ptrdiff_t i) {
    asked a = {
        .d = d, .row = ae_kept_row(&d->documents, (size_t)i), .more = d->more, .computed = json_object()};
    writer w = {0};
    *r = (ae_request){.row = (json_t *)a.row};
    ae_task_documents_where(a.place, sizeof a.place, d, i);
    ae_status st = read_facts(r, &a);
    if (st == AE_OK && d->task->kind == AE_TASK_CHOICE)
        st = ask_choices(r, &a, i, &w);
    else if (st == AE_OK && d->task->kind == AE_TASK_GENERATE)
        st = ask_text(r, &a, i, &w);
    else if (st == AE_OK)
        st = text_of(&r->text, &a, d->task->text->text, "text");
    if (r->contexts == NULL || r->contexts[0] != w.text) free(w.text);
    r->turns = w.turns;
    r->n_turns = w.n_turns;
    json_decref(a.computed);
    if (st != AE_OK) ae_request_free(r);
    return st;
}

void ae_request_free(ae_request *r) {
    const size_t n = (size_t)r->n_choices;
    for (size_t c = 1; r->contexts != NULL && r->partial && c < n; c++) free(r->contexts[c]);
    if (r->contexts != NULL) free(r->contexts[0]);
    free(r->contexts);
    texts_free(r->continuations, n);
    texts_free(r->choices, n);
    texts_free(r->references, r->n_references);
    free(r->gold);
    free(r->text);
    free(r->turns);
    free(r->group);
    json_decref(r->facts);
    *r = (ae_request){0};
}

ae_status ae_request_program(char **program, const ae_task_documents *d, ptrdiff_t i, const char *answer) {
    asked a = {.d = d, .row = ae_kept_row(&d->documents, (size_t)i)};
    *program = NULL;
    ae_task_documents_where(a.place, sizeof a.place, d, i);
    json_t *more = json_pack("{s:s, s:s}", "part", d->task->part, "completion", answer);
    if (more == NULL)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected an answer in UTF-8, found other bytes", a.place);
    a.more = more;
    ae_status st = text_of(program, &a, d->task->text->program, "program");
    json_decref(more);
    return st;
}
