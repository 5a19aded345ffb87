#include "corpus/chat.h"

#include "core/file.h"
#include "core/json.h"
#include "corpus/questions.h"
#include "corpus/writing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef json_t *maker(ae_tale *t);

static json_t *message(const char *role, const char *text) {
    return json_pack("{s:s, s:s}", "role", role, "content", text);
}

/* The tale, an empty line and the first question. */
static json_t *opening(const ae_tale *t, const ae_turn *turn) {
    return json_sprintf("%s\n\n%s", t->text.text, turn->asked.text);
}

/* Copying a text teaches a small model to look things up in it. An exercise only: held-out rows are questions. */
static json_t *make_again(const ae_tale *t) {
    json_t *asked = json_sprintf("%s\n\nTell the story again.", t->text.text);
    json_t *row = json_pack("{s:[o, o], s:[s]}", "messages", message("user", json_string_value(asked)),
                            message("assistant", t->text.text), "kinds", "again");
    json_decref(asked);
    return row;
}

static json_t *make_dialogue(ae_tale *t) {
    if (ae_rng_below(&t->slots.rng, 3) == 0 && !t->heldout) return make_again(t);
    static ae_turn turns[AE_TURNS_MAX];
    const size_t n = 1 + (size_t)ae_rng_below(&t->slots.rng, AE_TURNS_MAX);
    ae_questions_ask(t, turns, n);
    json_t *messages = json_array(), *kinds = json_array();
    int failed = 0;
    for (size_t i = 0; i < n; i++) {
        json_t *asked = i == 0 ? opening(t, &turns[0]) : json_string(turns[i].asked.text);
        failed |= json_array_append_new(messages, message("user", json_string_value(asked)));
        failed |= json_array_append_new(messages, message("assistant", turns[i].answer.text));
        failed |= json_array_append_new(kinds, json_string(ae_questions[turns[i].question].kind));
        json_decref(asked);
    }
    if (!failed) return json_pack("{s:o, s:o}", "messages", messages, "kinds", kinds);
    json_decref(messages);
    json_decref(kinds);
    return NULL;
}

/* Leaves some of the first words. */
static void cut(ae_tale *t, const ae_text *answer, ae_text *out) {
    *out = *answer;
    size_t spaces = 0;
    for (size_t i = 0; i < answer->n; i++) spaces += answer->text[i] == ' ';
    size_t left = 1 + (size_t)ae_rng_below(&t->slots.rng, spaces);
    out->n = 0;
    while (answer->text[out->n] != ' ' || --left > 0) out->n++;
    out->text[out->n] = '\0';
}

static json_t *make_pair(ae_tale *t) {
    static ae_turn turn;
    static ae_text rejected;
    ae_questions_ask(t, &turn, 1);
    const uint64_t fault = ae_rng_below(&t->slots.rng, 4);
    if (fault < 2)
        rejected = turn.wrong;
    else if (fault == 2)
        ae_questions_stray(t, &turn, &rejected);
    else
        cut(t, &turn.answer, &rejected);
    return json_pack("{s:o, s:s, s:s, s:s, s:s}", "prompt", opening(t, &turn), "chosen", turn.answer.text,
                     "rejected", rejected.text, "kind", ae_questions[turn.question].kind, "fault",
                     fault < 2    ? "wrong"
                     : fault == 2 ? "stray"
                                  : "cut");
}

/* ---- writing ---- */

static json_t *make_writing(ae_tale *t) {
    static ae_text prompt;
    ae_task task;
    ae_task_of(t, &task, &prompt);
    t->for_task = true;
    ae_tale_retell(t);
    return json_pack("{s:[o, o]}", "messages", message("user", prompt.text),
                     message("assistant", t->text.text));
}

static json_t *make_prompt(ae_tale *t) {
    static ae_text prompt;
    ae_task task;
    ae_task_of(t, &task, &prompt);
    return json_pack("{s:s, s:{s:s, s:s, s:s}}", "prompt", prompt.text, "meta", "name", task.name, "thing",
                     task.thing, "place", task.place);
}

/* Two drafts whose rewards differ. */
static json_t *make_graded(ae_tale *t) {
    static ae_text prompt, texts[2];
    ae_task task;
    ae_grade grades[2];
    ae_rng rng = t->slots.rng;
    ae_task_of(t, &task, &prompt);
    do
        for (int i = 0; i < 2; i++) {
            ae_writing_draft(t, &rng, &texts[i]);
            ae_grade_text(&task, texts[i].text, &grades[i]);
        }
    while (fabs(grades[0].reward - grades[1].reward) < 0.02);
    const int best = grades[1].reward > grades[0].reward;
    return json_pack("{s:s, s:s, s:s, s:[f, f]}", "prompt", prompt.text, "chosen", texts[best].text,
                     "rejected", texts[1 - best].text, "rewards", grades[best].reward,
                     grades[1 - best].reward);
}

/* ---- files ---- */

/* Rows of the tales from number `first` on that are held out, or not. */
static ae_status write_rows(FILE *out, const char *path, uint64_t seed, uint64_t first, bool heldout,
                            uint64_t rows, maker *make) {
    static ae_tale t;
    ae_status st = AE_OK;
    for (uint64_t number = first, n = 0; n < rows && st == AE_OK; number++) {
        ae_tale_tell(seed, number, &t);
        if (t.heldout != heldout) continue;
        json_t *row = make(&t);
        st = row ? ae_json_write_line(row, out, path) : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
        json_decref(row);
        n++;
    }
    return st;
}

static ae_status write_file(const char *path, uint64_t seed, uint64_t first, bool heldout, uint64_t rows,
                            maker *make) {
    char *bytes = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&bytes, &n);
    if (!out) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    ae_status st = write_rows(out, path, seed, first, heldout, rows, make);
    if (fclose(out) != 0 && st == AE_OK) st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", path);
    if (st == AE_OK) st = ae_file_write(path, bytes, n);
    free(bytes);
    return st;
}

ae_status ae_chat_write(const char *folder, uint64_t seed, uint64_t rows) {
    /* Each kind of file has tales of its own. */
    static const struct {
        const char *name;
        maker *make;
        uint64_t tales; /* each kind of file has some of its own */
        bool heldout;
    } files[] = {
        {"chat-train.jsonl", make_dialogue, 0, false},   {"chat-heldout.jsonl", make_dialogue, 0, true},
        {"pairs-train.jsonl", make_pair, 1, false},      {"pairs-heldout.jsonl", make_pair, 1, true},
        {"writing-train.jsonl", make_writing, 2, false}, {"writing-heldout.jsonl", make_writing, 2, true},
        {"graded-train.jsonl", make_graded, 3, false},   {"graded-heldout.jsonl", make_graded, 3, true},
        {"prompts-train.jsonl", make_prompt, 4, false},  {"prompts-heldout.jsonl", make_prompt, 4, true}};
    enum { FILES = sizeof files / sizeof *files };
    ae_status st = ae_folder_make(folder);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < FILES && st == AE_OK; i++) {
            char *path = ae_path_join(folder, files[i].name);
            if (pass == 1)
                st = write_file(path, seed, files[i].tales << 32, files[i].heldout,
                                files[i].heldout ? rows / 20 : rows, files[i].make);
            else if (ae_path_exists(path))
                st = AE_FAIL(AE_ERR_USAGE, "%s: exists; remove it or give another folder", path);
            free(path);
        }
    return st;
}
