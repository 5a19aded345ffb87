#include "data/encode.h"

#include "core/log.h"
#include "core/threads.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A run of ids that goes to one set. */
typedef struct {
    ptrdiff_t first, n;
    bool held, ends;
    int64_t document_bytes; /* where `ends` */
} part;

/* What one thread works on. */
typedef struct {
    ae_block block;
    ae_ids ids;
    part *parts;
    size_t n_parts, capacity;
    ae_encoded_count count;
} work;

/* What the threads share. A block's number is drawn when it is read; blocks are written by turns of these
 * numbers, and a failure counts at its block's turn, so that the first one of the input is told. */
typedef struct {
    const ae_encoding *e;
    ae_documents *documents;
    ae_special_ids special;
    pthread_mutex_t reading, writing;
    pthread_cond_t turn_changed;
    int64_t blocks_read, turn, text_done;
    ae_encoded_count count;
    bool read_all;
    ae_status failure;
    char message[AE_MESSAGE_BYTES];
    ae_progress progress;
} shared;

static ae_status add_part(work *w, part p) {
    if (w->n_parts == w->capacity) {
        const size_t capacity = 2 * w->capacity + 64;
        part *grown = realloc(w->parts, capacity * sizeof *grown);
        if (!grown) return AE_FAIL(AE_ERR_RESOURCE, "encoding: out of memory");
        w->parts = grown;
        w->capacity = capacity;
    }
    w->parts[w->n_parts++] = p;
    return AE_OK;
}

static ae_status encode_text(const shared *s, work *w, const char *text, size_t n) {
    const ae_tokenizer *t = s->e->tokenizer;
    const ptrdiff_t first = w->ids.n;
    ae_status st = ae_tokenizer_encode(t, text, n, &w->ids);
    int64_t unknown = 0, lost = 0;
    for (ptrdiff_t i = first; st == AE_OK && i < w->ids.n; i++) {
        w->count.byte_tokens += ae_tokenizer_is_byte(t, w->ids.ids[i]);
        unknown += w->ids.ids[i] == s->special.unk;
    }
    if (st == AE_OK && unknown > 0) st = ae_tokenizer_lost_bytes(t, text, n, &lost);
    w->count.unknown_tokens += unknown;
    w->count.lost_bytes += lost;
    return st;
}

static ae_status encode_part(const shared *s, work *w, const ae_piece *p, bool held, int64_t document_bytes) {
    part out = {.first = w->ids.n, .held = held, .ends = p->ends, .document_bytes = document_bytes};
    ae_status st = p->begins ? ae_ids_append(&w->ids, s->special.bos) : AE_OK;
    if (st == AE_OK) st = encode_text(s, w, w->block.text + p->offset, p->n);
    if (st == AE_OK && p->ends) st = ae_ids_append(&w->ids, s->special.eos);
    if (st != AE_OK) return st;
    out.n = w->ids.n - out.first;
    return add_part(w, out);
}

/* Of the one document that is cut: what lies before the cut ends there, the rest begins there. */
static ae_status encode_cut(const shared *s, work *w, const ae_piece *p) {
    const int64_t cut = s->e->cut, end = p->at + (int64_t)p->n;
    const size_t before = cut <= p->at ? 0 : cut >= end ? p->n : (size_t)(cut - p->at);
    ae_piece front = *p, back = *p;
    front.n = before;
    front.ends = end >= cut;
    back.offset += before;
    back.n -= before;
    back.begins = p->at <= cut;
    ae_status st = p->at < cut ? encode_part(s, w, &front, false, cut) : AE_OK;
    if (st == AE_OK && end > cut) st = encode_part(s, w, &back, true, end - cut);
    return st;
}

static ae_status encode_block(const shared *s, work *w) {
    ae_status st = AE_OK;
    w->ids.n = 0;
    w->n_parts = 0;
    w->count = (ae_encoded_count){0};
    for (size_t i = 0; i < w->block.n_pieces && st == AE_OK; i++) {
        const ae_piece *p = &w->block.pieces[i];
        const bool held = p->document >= s->e->first_held;
        st = s->e->cut ? encode_cut(s, w, p) : encode_part(s, w, p, held, p->at + (int64_t)p->n);
    }
    return st;
}

static ae_status write_parts(shared *s, const work *w) {
    ae_status st = AE_OK;
    for (size_t i = 0; i < w->n_parts && st == AE_OK; i++) {
        const part *p = &w->parts[i];
        ae_token_writer *to = p->held ? s->e->held : s->e->train;
        st = ae_token_writer_part(to, w->ids.ids + p->first, NULL, p->n);
        if (st == AE_OK && p->ends) st = ae_token_writer_end_document(to, p->document_bytes);
    }
    s->count.byte_tokens += w->count.byte_tokens;
    s->count.unknown_tokens += w->count.unknown_tokens;
    s->count.lost_bytes += w->count.lost_bytes;
    s->text_done += (int64_t)w->block.n;
    if (w->block.n) ae_progress_show(&s->progress, s->text_done / 1000, "");
    return st;
}

/* The next block and its number; an empty block at the end. */
static ae_status read_block(shared *s, work *w, int64_t *number) {
    pthread_mutex_lock(&s->reading);
    w->block.n = w->block.n_pieces = 0;
    *number = s->blocks_read++;
    const ae_status st = s->read_all ? AE_OK : ae_documents_next(s->documents, &w->block);
    s->read_all = s->read_all || st != AE_OK || w->block.n_pieces == 0;
    pthread_mutex_unlock(&s->reading);
    return st;
}

/* Writes a block when its turn comes; `st` is what became of it so far. False: something has failed. */
static bool write_block(shared *s, const work *w, int64_t number, ae_status st) {
    pthread_mutex_lock(&s->writing);
    while (s->turn != number) pthread_cond_wait(&s->turn_changed, &s->writing);
    if (s->failure == AE_OK && st == AE_OK) st = write_parts(s, w);
    if (s->failure == AE_OK && st != AE_OK) {
        s->failure = st;
        snprintf(s->message, sizeof s->message, "%s", ae_error_message());
    }
    const bool well = s->failure == AE_OK;
    s->turn++;
    pthread_cond_broadcast(&s->turn_changed);
    pthread_mutex_unlock(&s->writing);
    return well;
}

static void *work_on_blocks(void *arg) {
    shared *s = arg;
    work w = {0};
    bool more = true;
    while (more) {
        int64_t number = 0;
        ae_status st = read_block(s, &w, &number);
        more = w.block.n_pieces > 0;
        if (st == AE_OK) st = encode_block(s, &w);
        more = write_block(s, &w, number, st) && more;
    }
    ae_block_free(&w.block);
    ae_ids_free(&w.ids);
    free(w.parts);
    return NULL;
}

static void run_threads(shared *s, int threads) {
    pthread_t *ids = calloc((size_t)threads, sizeof *ids);
    int started = 0;
    while (ids && started < threads - 1 && ae_thread_start(&ids[started], work_on_blocks, s) == 0) started++;
    work_on_blocks(s);
    for (int i = 0; i < started; i++) pthread_join(ids[i], NULL);
    free(ids);
}

ae_status ae_encode_documents(const ae_encoding *e, ae_encoded_count *count) {
    shared s = {.e = e, .special = ae_tokenizer_special(e->tokenizer)};
    ae_status st = ae_documents_open(&s.documents, &e->input);
    if (st != AE_OK) return st;
    pthread_mutex_init(&s.reading, NULL);
    pthread_mutex_init(&s.writing, NULL);
    pthread_cond_init(&s.turn_changed, NULL);
    ae_progress_init(&s.progress, "encode", 0, e->text_bytes / 1000);
    s.progress.unit = "kB";
    run_threads(&s, e->threads);
    ae_progress_end(&s.progress);
    pthread_cond_destroy(&s.turn_changed);
    pthread_mutex_destroy(&s.writing);
    pthread_mutex_destroy(&s.reading);
    const ae_documents_count read = ae_documents_counted(s.documents);
    ae_documents_close(s.documents);
    *count = s.count;
    count->documents = read.documents;
    count->text_bytes = read.text_bytes;
    return s.failure == AE_OK ? AE_OK : AE_FAIL(s.failure, "%s", s.message);
}
