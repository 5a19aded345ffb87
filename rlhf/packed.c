#include "rlhf/packed.h"

#include "core/dims.h"
#include "data/best_fit.h"

#include <stdlib.h>
#include <string.h>

/* A document on its way into a row: n answers to one prompt. */
typedef struct {
    ae_written **answers;
    ptrdiff_t n, tokens, at, row;
} placing;

static int longest_first(const void *a, const void *b) {
    const placing *x = a, *y = b;
    if (x->tokens != y->tokens) return x->tokens > y->tokens ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

static int by_row(const void *a, const void *b) {
    const placing *x = a, *y = b;
    if (x->row != y->row) return x->row < y->row ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

/* How many rows there are. */
static ptrdiff_t choose_rows(placing *p, ptrdiff_t n, ptrdiff_t T, ptrdiff_t *room) {
    ptrdiff_t rows = 0;
    for (ptrdiff_t i = 0; i < n; i++) p[i].row = ae_best_fit(room, &rows, p[i].tokens, T);
    return rows;
}

/* Tokens of the shortest rows, of those tried, that are as few; *rows of them are chosen then. */
static ptrdiff_t shorten(placing *p, ptrdiff_t n, ptrdiff_t T, ptrdiff_t *room, ptrdiff_t *rows) {
    enum { TRIES = 64 };
    ptrdiff_t all = 0;
    for (ptrdiff_t i = 0; i < n; i++) all += p[i].tokens;
    *rows = choose_rows(p, n, T, room);
    const ptrdiff_t step = ae_max(1, T / TRIES);
    for (ptrdiff_t t = ae_max(p[0].tokens, ae_ceil_div(all, *rows)); t < T; t += step)
        if (choose_rows(p, n, t, room) == *rows) return t;
    *rows = choose_rows(p, n, T, room);
    return T;
}

/* ---- documents ---- */

/* The answers that are read, and room for as many documents of them. */
typedef struct {
    ae_written **answers;
    placing *documents;
    ptrdiff_t *room; /* of each row */
    ptrdiff_t n_answers, n;
    ptrdiff_t rows, T; /* what they fill */
} packing;

static bool same_prompt(const ae_written *a, const ae_written *b) {
    return a->n_prompt == b->n_prompt &&
           memcmp(a->tokens, b->tokens, (size_t)a->n_prompt * sizeof *a->tokens) == 0;
}

/* One document each, or with neighbours that have the same prompt as long as it is of at most `most` tokens. */
static void make_documents(packing *p, ptrdiff_t most) {
    p->n = 0;
    for (ptrdiff_t i = 0; i < p->n_answers; i++) {
        const ae_written *w = p->answers[i];
        placing *last = p->n > 0 ? &p->documents[p->n - 1] : NULL;
        if (last && last->tokens + w->seen.n <= most && w->n_prompt > 1 && same_prompt(*last->answers, w)) {
            last->n++;
            last->tokens += w->seen.n;
        } else {
            p->documents[p->n++] = (placing){&p->answers[i], 1, w->n_prompt - 1 + w->seen.n, i, 0};
        }
    }
}

/* What documents of at most `most` tokens fill. */
static ptrdiff_t pack(packing *p, ptrdiff_t most, ptrdiff_t T) {
    enum { MULTIPLE = 16 };
    make_documents(p, most);
    qsort(p->documents, (size_t)p->n, sizeof *p->documents, longest_first);
    const ptrdiff_t used = shorten(p->documents, p->n, T, p->room, &p->rows);
    p->T = ae_min(T, ae_ceil_div(used, MULTIPLE) * MULTIPLE);
    return p->rows * p->T;
}

/* The largest documents share most, smaller ones leave less of the rows empty: of several bounds the best. */
static void pack_best(packing *p, ptrdiff_t T, bool share) {
    enum { PARTS = 8 };
    ptrdiff_t best = 0, least = pack(p, 0, T);
    for (ptrdiff_t i = 1; share && i <= PARTS; i++) {
        const ptrdiff_t most = T * i / PARTS, places = pack(p, most, T);
        if (places > least) continue;
        least = places;
        best = most;
    }
    (void)pack(p, best, T);
}

/* ---- rows ---- */

static void put_token(ae_batch *b, ptrdiff_t at, const ae_written *w, ptrdiff_t t) {
    b->tokens[at] = w->tokens[t];
    b->targets[at] = w->tokens[t + 1];
    b->positions[at] = (int32_t)t;
    b->weights[at] = t + 1 >= w->n_prompt ? 1 : 0;
}

static void put(ae_batch *b, const placing *p, ptrdiff_t at) {
    const ptrdiff_t trunk = p->answers[0]->n_prompt - 1;
    for (ptrdiff_t t = 0; t < trunk; t++) put_token(b, at++, p->answers[0], t);
    for (ptrdiff_t i = 0; i < p->n; i++) {
        ae_written *w = p->answers[i];
        w->place = at;
        for (ptrdiff_t t = 0; t < w->seen.n; t++) put_token(b, at++, w, trunk + t);
        b->n_targets += w->seen.n;
    }
    b->n_tokens += p->tokens;
}

/* `p` stands by rows. */
static void fill(ae_batch *b, const placing *p, ptrdiff_t n) {
    for (ptrdiff_t k = 0; k < n;) {
        const ptrdiff_t row = p[k].row;
        ptrdiff_t at = row * b->T;
        for (; k < n && p[k].row == row; at += p[k++].tokens) put(b, &p[k], at);
        ae_batch_put_padding(b, at, (row + 1) * b->T);
    }
}

static ae_status read_answers(packing *p, ae_written_set *s, ptrdiff_t T) {
    for (ptrdiff_t i = 0; i < s->n; i++) {
        ae_written *w = &s->items[i];
        w->place = -1;
        if (w->unread) continue;
        if (w->n_prompt - 1 + w->seen.n > T)
            return AE_FAIL(AE_ERR_DEFECT, "rows of answers: expected at most %td tokens, found %td", T,
                           w->n_prompt - 1 + w->seen.n);
        p->answers[p->n_answers++] = w;
    }
    return AE_OK;
}

ae_status ae_packed_make(ae_batch *b, ae_written_set *s, ptrdiff_t T, bool share) {
    ae_status st = AE_OK;
    packing p = {.answers = calloc((size_t)s->n, sizeof(ae_written *)),
                 .documents = calloc((size_t)s->n, sizeof(placing)),
                 .room = calloc((size_t)s->n, sizeof(ptrdiff_t))};
    *b = (ae_batch){0};
    if (!p.answers || !p.documents || !p.room)
        AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "rows of answers: out of memory"));
    AE_TRY(read_answers(&p, s, T));
    pack_best(&p, T, share);
    AE_TRY(ae_batch_init(b, p.rows, p.T));
    qsort(p.documents, (size_t)p.n, sizeof *p.documents, by_row);
    fill(b, p.documents, p.n);
out:
    free((void *)p.answers);
    free(p.documents);
    free(p.room);
    return st;
}

ptrdiff_t ae_packed_rows(ptrdiff_t n, int64_t tokens, ptrdiff_t T) {
    const ptrdiff_t each = (ptrdiff_t)ae_max(1, T / (ptrdiff_t)tokens);
    return ae_ceil_div(n, each);
}
