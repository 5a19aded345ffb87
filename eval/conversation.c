#include "eval/conversation.h"

#include "core/clock.h"
#include "data/render.h"
#include "data/utf8.h"
#include "eval/conversation_parts.h"
#include "eval/draft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static ae_status out_of_memory(void) {
    return AE_FAIL(AE_ERR_RESOURCE, "conversation: out of memory");
}

/* ---- what was said ---- */

char *ae_text_copy(const char *text, size_t n) {
    char *copy = malloc(n + 1);
    if (!copy) return NULL;
    if (n) memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

void ae_turn_free(ae_turn *t) {
    free(t->user);
    free(t->answer);
    *t = (ae_turn){0};
}

void ae_transcript_free(ae_transcript *t) {
    for (ptrdiff_t i = 0; i < t->n; i++) ae_turn_free(&t->turns[i]);
    free(t->turns);
    free(t->system);
    ae_ids_free(&t->ids);
    *t = (ae_transcript){0};
}

ae_status ae_transcript_reserve(ae_transcript *t) {
    if (t->n < t->capacity) return AE_OK;
    const ptrdiff_t capacity = 2 * t->capacity + 8;
    ae_turn *grown = realloc(t->turns, (size_t)capacity * sizeof *grown);
    if (!grown) return out_of_memory();
    t->turns = grown;
    t->capacity = capacity;
    return AE_OK;
}

ptrdiff_t ae_conversation_turns(const ae_conversation *c) {
    return c->said.n;
}

const ae_turn *ae_conversation_turn(const ae_conversation *c, ptrdiff_t i) {
    return &c->said.turns[i];
}

const char *ae_conversation_system(const ae_conversation *c) {
    return c->said.system;
}

const ae_ids *ae_conversation_ids(const ae_conversation *c) {
    return &c->said.ids;
}

const ae_decode_state *ae_conversation_state(const ae_conversation *c) {
    return &c->state;
}

ae_answer_settings *ae_conversation_settings(ae_conversation *c) {
    return &c->settings;
}

/* ---- states before turns ---- */

ae_snapshot *ae_conversation_snapshot(ae_conversation *c, ptrdiff_t turn) {
    return &c->snapshots[turn % AE_CONVERSATION_SNAPSHOTS];
}

ae_status ae_snapshot_reserve(ae_snapshot *s, const ae_model *m) {
    return s->state.model ? AE_OK : ae_decode_state_init(&s->state, m, 1);
}

void ae_conversation_forget(ae_conversation *c, ptrdiff_t first) {
    for (int i = 0; i < AE_CONVERSATION_SNAPSHOTS; i++)
        if (c->snapshots[i].turn >= first) c->snapshots[i].turn = -1;
}

/* Before turn `turn` is read. */
static ae_status keep_state(ae_conversation *c, ptrdiff_t turn) {
    ae_snapshot *s = ae_conversation_snapshot(c, turn);
    ae_status st = ae_snapshot_reserve(s, c->model);
    if (st != AE_OK) return st;
    st = ae_decode_state_copy(&s->state, 0, &c->state, 0);
    if (st == AE_OK) s->turn = turn;
    return st;
}

/* As it was before turn `turn`, whose tokens begin at `begin`. Without a snapshot nothing is read. The state
 * has been there, so its caches have the room. */
static void go_back(ae_conversation *c, ptrdiff_t turn, ptrdiff_t begin) {
    const ae_snapshot *s = ae_conversation_snapshot(c, turn);
    if (s->turn == turn)
        (void)ae_decode_state_copy(&c->state, 0, &s->state, 0);
    else
        ae_decode_state_reset(&c->state, 0);
    c->said.ids.n = begin;
}

/* ---- one conversation ---- */

static ae_status check_room(const ae_model *m) {
    const size_t needed = (2 + AE_CONVERSATION_SNAPSHOTS) * ae_decode_state_bytes(m->be, &m->config, 1, 0) +
                          ae_decoder_bytes(m->be, &m->config, m->params.adapter_rank, 1, AE_PREFILL_CHUNK) +
                          (size_t)m->config.V * sizeof(float) + ae_sample_room_bytes(m->config.V);
    const size_t there = ae_memory_available_bytes();
    if (needed <= there) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "a conversation needs %.1f GB of memory, %.1f GB are available",
                   (double)needed / 1e9, (double)there / 1e9);
}

static ae_status init(ae_conversation *c) {
    const ae_model *m = c->model;
    ae_status st = check_room(m);
    if (st != AE_OK) return st;
    c->logits = malloc((size_t)m->config.V * sizeof *c->logits);
    c->room = malloc(ae_sample_room_bytes(m->config.V));
    if (!c->logits || !c->room) return out_of_memory();
    st = ae_decode_state_init(&c->state, m, 1);
    return st == AE_OK ? ae_decoder_new(&c->decoder, m, 1, AE_PREFILL_CHUNK) : st;
}

static ae_status check_tokenizer(const ae_model *m, const ae_tokenizer *t, const char *where) {
    const ae_status st = ae_render_check(t, where);
    if (st != AE_OK || ae_tokenizer_size(t) <= m->config.V) return st;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected at most %td pieces, as many as the model has rows, found %d",
                   where, m->config.V, (int)ae_tokenizer_size(t));
}

ae_status ae_conversation_new(ae_conversation **out, const ae_model *m, const ae_tokenizer *t,
                              const char *where) {
    *out = NULL;
    ae_status st = check_tokenizer(m, t, where);
    if (st != AE_OK) return st;
    ae_conversation *c = calloc(1, sizeof *c);
    if (!c) return out_of_memory();
    c->model = m;
    c->tokenizer = t;
    c->model_path = realpath(where, NULL);
    if (!c->model_path) c->model_path = strdup(where);
    c->settings = (ae_answer_settings){
        .sampling = {.temperature = 0.8, .top_p = 1, .ids = ae_tokenizer_size(t)}, .max_new = 256};
    c->settings.n_end_ids = ae_answer_end_ids(&m->config, t, c->ends);
    c->settings.end_ids = c->ends;
    ae_conversation_forget(c, 0);
    st = c->model_path ? init(c) : out_of_memory();
    if (st == AE_OK)
        *out = c;
    else
        ae_conversation_delete(c);
    return st;
}

void ae_conversation_delete(ae_conversation *c) {
    if (!c) return;
    ae_transcript_free(&c->said);
    for (int i = 0; i < AE_CONVERSATION_SNAPSHOTS; i++) ae_decode_state_free(&c->snapshots[i].state);
    ae_decode_state_free(&c->aside.state);
    ae_decode_state_free(&c->state);
    ae_decoder_delete(c->decoder);
    free(c->logits);
    free(c->model_path);
    free(c->room);
    free(c);
}

static ae_status check_text(const char *what, const char *text, size_t n) {
    if (ae_utf8_prefix(text, n) == n) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected UTF-8 text, found other bytes", what);
}

ae_status ae_conversation_begin(ae_conversation *c, const char *system, size_t n) {
    char *copy = NULL;
    if (system) {
        const ae_status st = check_text("system message", system, n);
        if (st != AE_OK) return st;
        copy = ae_text_copy(system, n);
        if (!copy) return out_of_memory();
    }
    ae_transcript_free(&c->said);
    c->said = (ae_transcript){.system = copy, .system_bytes = n};
    ae_conversation_forget(c, 0);
    ae_decode_state_reset(&c->state, 0);
    return AE_OK;
}

/* ---- reading ---- */

static bool is_stopped(const ae_conversation_io *io) {
    return io->stopped && io->stopped(io->context);
}

/* The tokens up to `end` that the state has not read. *stopped: not all of them. */
static ae_status read_to(ae_conversation *c, ptrdiff_t end, const ae_conversation_io *io, bool *stopped) {
    const ae_ids *ids = &c->said.ids;
    for (ptrdiff_t at = c->state.positions[0]; at < end; at = c->state.positions[0]) {
        *stopped = is_stopped(io);
        if (*stopped) return AE_OK;
        const ptrdiff_t n = ae_min(end - at, AE_PREFILL_CHUNK);
        ae_status st = ae_decoder_prefill(c->decoder, &c->state, 0, ids->ids + at, n,
                                          at + n == ids->n ? c->logits : NULL, NULL);
        if (st == AE_OK) st = c->model->be->sync(c->model->be);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

/* Where turns were taken back beyond the snapshots: all but the last <end_of_turn>, as after an answer. */
static ae_status catch_up(ae_conversation *c, const ae_conversation_io *io, bool *stopped) {
    const ae_transcript *said = &c->said;
    if (said->n == 0 || c->state.positions[0] >= said->turns[said->n - 1].answer_begin) return AE_OK;
    return read_to(c, said->ids.n - 1, io, stopped);
}

/* ---- writing ---- */

static ae_status show(const ae_draft *d, const ae_conversation_io *io, size_t *shown) {
    const ae_answer *a = &d->answer;
    const size_t from = *shown;
    if (!io->piece || a->text_bytes <= from) return AE_OK;
    *shown = a->text_bytes;
    return io->piece(io->context, a->text + from, a->text_bytes - from);
}

static ae_status draw(ae_conversation *c, ae_draft *d, int32_t *id) {
    ae_draw x = ae_draft_draw(d, c->logits);
    ae_sample(&x, c->model->config.V, c->room, c->model->be->threads);
    *id = x.id;
    if (!isnan(c->logits[x.id])) return ae_draft_add(d, x.id, 0);
    return AE_FAIL(
        AE_ERR_INPUT,
        "answer: the numbers inside the model overflow: its logits are NaN; are these its weights?");
}

/* From the logits after the prompt to what ends the answer; that is not read. */
static ae_status write_answer(ae_conversation *c, ae_draft *d, const ae_conversation_io *io) {
    size_t shown = 0;
    int32_t id = 0;
    ae_status st = AE_OK;
    while (st == AE_OK) {
        if (is_stopped(io)) {
            st = ae_draft_end(d, AE_ANSWER_CANCELLED);
            return st == AE_OK ? show(d, io, &shown) : st;
        }
        st = draw(c, d, &id);
        if (st == AE_OK) st = show(d, io, &shown);
        if (st != AE_OK || d->answer.end != AE_ANSWER_GROWS) break;
        st = ae_decoder_step(c->decoder, &c->state, &id, 1, c->logits);
        if (st == AE_OK) st = c->model->be->sync(c->model->be);
    }
    return st;
}

/* The answer's tokens and text; <end_of_turn> takes the place of what ended it. */
static ae_status take_answer(ae_conversation *c, const ae_answer *a, ae_turn *t) {
    const ptrdiff_t n = a->tokens.n - (a->end == AE_ANSWER_STOPPED);
    ae_status st = ae_ids_extend(&c->said.ids, a->tokens.ids, n);
    if (st == AE_OK) st = ae_ids_append(&c->said.ids, ae_tokenizer_special(c->tokenizer).end_of_turn);
    if (st != AE_OK) return st;
    t->end = c->said.ids.n;
    t->how = a->end;
    t->answer_bytes = a->text_bytes;
    t->answer = ae_text_copy(a->text, a->text_bytes);
    return t->answer ? AE_OK : out_of_memory();
}

static ae_status answer(ae_conversation *c, ae_turn *t, const ae_conversation_io *io, ae_turn_report *r) {
    ae_draft *d = NULL;
    ae_status st;
    const double started_s = ae_now_s();
    c->settings.stream = (uint64_t)t->retries << 32 | (uint64_t)c->said.n;
    AE_TRY(ae_draft_new(&d, &c->settings, c->tokenizer, c->model->config.V, &c->said.ids, 0));
    AE_TRY(write_answer(c, d, io));
    r->end = d->answer.end;
    r->answer_tokens = d->answer.tokens.n;
    r->taken_back = r->answer_tokens == 0;
    if (!r->taken_back) AE_TRY(take_answer(c, &d->answer, t));
out:
    r->answer_s = ae_now_s() - started_s;
    ae_draft_delete(d);
    return st;
}

/* ---- turns ---- */

static ae_status read_turn(ae_conversation *c, ae_turn *t, const ae_conversation_io *io, ae_turn_report *r) {
    ae_transcript *said = &c->said;
    const ptrdiff_t position = c->state.positions[0];
    const double started_s = ae_now_s();
    bool stopped = false;
    ae_status st = catch_up(c, io, &stopped);
    if (st != AE_OK || stopped) goto out;
    AE_TRY(keep_state(c, said->n));
    AE_TRY(ae_render_user(c->tokenizer, said->n == 0, said->n == 0 ? said->system : NULL, said->system_bytes,
                          t->user, t->user_bytes, &said->ids));
    t->answer_begin = said->ids.n;
    AE_TRY(read_to(c, said->ids.n, io, &stopped));
out:
    r->read_tokens = c->state.positions[0] - position;
    r->read_s = ae_now_s() - started_s;
    r->taken_back = stopped;
    if (stopped) r->end = AE_ANSWER_CANCELLED;
    return st;
}

/* A turn of which `user` and `retries` are known. It becomes the conversation's, or is freed. */
static ae_status take_turn(ae_conversation *c, ae_turn t, const ae_conversation_io *io, ae_turn_report *r) {
    ae_status st;
    *r = (ae_turn_report){0};
    t.begin = c->said.ids.n;
    AE_TRY(ae_transcript_reserve(&c->said));
    AE_TRY(read_turn(c, &t, io, r));
    if (!r->taken_back) AE_TRY(answer(c, &t, io, r));
out:
    if (st == AE_OK && !r->taken_back) {
        ae_conversation_forget(c, c->said.n + 1);
        c->said.turns[c->said.n++] = t;
        return AE_OK;
    }
    if (c->said.ids.n > t.begin) go_back(c, c->said.n, t.begin);
    ae_turn_free(&t);
    return st;
}

ae_status ae_conversation_ask(ae_conversation *c, const char *text, size_t n, const ae_conversation_io *io,
                              ae_turn_report *report) {
    ae_turn t = {0};
    ae_status st = check_text("message", text, n);
    if (st != AE_OK) return st;
    ae_text_trim(&text, &n);
    if (n == 0) return AE_FAIL(AE_ERR_INPUT, "message: expected text, found none");
    t.user = ae_text_copy(text, n);
    t.user_bytes = n;
    return t.user ? take_turn(c, t, io, report) : out_of_memory();
}

static ae_status expect_turn(const ae_conversation *c, const char *what) {
    if (c->said.n > 0) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "expected %s, found none: nothing was said yet", what);
}

ae_status ae_conversation_undo(ae_conversation *c) {
    const ae_status st = expect_turn(c, "a turn to take back");
    if (st != AE_OK) return st;
    ae_turn *last = &c->said.turns[--c->said.n];
    go_back(c, c->said.n, last->begin);
    ae_turn_free(last);
    return AE_OK;
}

/* What a retry needs to leave all as it was. */
static ae_status put_aside(ae_conversation *c, const ae_turn *old, ae_ids *ids) {
    ae_status st = ae_snapshot_reserve(&c->aside, c->model);
    if (st == AE_OK) st = ae_decode_state_copy(&c->aside.state, 0, &c->state, 0);
    if (st != AE_OK) return st;
    return ae_ids_extend(ids, c->said.ids.ids + old->begin, old->end - old->begin);
}

/* The old answer stays where no new one begins. */
ae_status ae_conversation_retry(ae_conversation *c, const ae_conversation_io *io, ae_turn_report *report) {
    ae_transcript *said = &c->said;
    ae_ids old_ids = {0};
    ae_status st = expect_turn(c, "a message to answer again");
    if (st != AE_OK) return st;
    ae_turn old = said->turns[said->n - 1];
    ae_turn t = {.user = ae_text_copy(old.user, old.user_bytes),
                 .user_bytes = old.user_bytes,
                 .retries = old.retries + 1};
    st = t.user ? put_aside(c, &old, &old_ids) : out_of_memory();
    if (st != AE_OK) {
        ae_turn_free(&t);
        goto out;
    }
    said->n--;
    go_back(c, said->n, old.begin);
    st = take_turn(c, t, io, report);
    if (st == AE_OK && !report->taken_back) {
        ae_turn_free(&old);
        goto out;
    }
    /* the ids had room for the old turn */
    memcpy(said->ids.ids + old.begin, old_ids.ids, (size_t)old_ids.n * sizeof *old_ids.ids);
    said->ids.n = old.end;
    said->turns[said->n++] = old;
    (void)ae_decode_state_copy(&c->state, 0, &c->aside.state, 0); /* it has been there */
out:
    ae_ids_free(&old_ids);
    return st;
}
