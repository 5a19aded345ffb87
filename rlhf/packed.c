#include "rlhf/packed.h"

#include "core/dims.h"
#include "data/best_fit.h"

#include <stdlib.h>

/* An answer on its way into a row. */
typedef struct {
    ae_written *answer;
    ptrdiff_t tokens, at, row;
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

static void put(ae_batch *b, const placing *p, ptrdiff_t at) {
    ae_written *w = p->answer;
    const ptrdiff_t first = w->n_prompt - 1;
    w->place = at;
    for (ptrdiff_t t = 0; t < p->tokens; t++) {
        b->tokens[at + t] = w->tokens[t];
        b->targets[at + t] = w->tokens[t + 1];
        b->positions[at + t] = (int32_t)t;
        b->weights[at + t] = t >= first ? 1 : 0;
    }
    b->n_tokens += p->tokens;
    b->n_targets += w->seen.n;
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

ae_status ae_packed_make(ae_batch *b, ae_written_set *s, ptrdiff_t T) {
    enum { MULTIPLE = 16 };
    ae_status st = AE_OK;
    ptrdiff_t rows = 0, n = 0;
    placing *p = calloc((size_t)s->n, sizeof *p);
    ptrdiff_t *room = calloc((size_t)s->n, sizeof *room);
    *b = (ae_batch){0};
    if (!p || !room) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "rows of answers: out of memory"));
    for (ptrdiff_t i = 0; i < s->n; i++) {
        s->items[i].place = -1;
        if (s->items[i].unread) continue;
        p[n] = (placing){&s->items[i], s->items[i].n_prompt + s->items[i].seen.n - 1, i, 0};
        if (p[n++].tokens > T)
            AE_TRY(AE_FAIL(AE_ERR_DEFECT, "rows of answers: expected at most %td tokens, found %td", T,
                           p[n - 1].tokens));
    }
    qsort(p, (size_t)n, sizeof *p, longest_first);
    const ptrdiff_t used = shorten(p, n, T, room, &rows);
    AE_TRY(ae_batch_init(b, rows, ae_min(T, ae_ceil_div(used, MULTIPLE) * MULTIPLE)));
    qsort(p, (size_t)n, sizeof *p, by_row);
    fill(b, p, n);
out:
    free(p);
    free(room);
    return st;
}

ptrdiff_t ae_packed_rows(ptrdiff_t n, int64_t tokens, ptrdiff_t T) {
    const ptrdiff_t each = (ptrdiff_t)ae_max(1, T / (ptrdiff_t)tokens);
    return ae_ceil_div(n, each);
}
