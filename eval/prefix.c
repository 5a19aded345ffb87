#include "eval/prefix.h"

#include "core/machine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct ae_prefix_walk {
    const ae_model *model;
    ae_decoder *decoder;
    const ae_prompt *prompts;
    ptrdiff_t n, at;
    ae_prefix_options options;
    ptrdiff_t *shared;    /* [n]: pages that prompt i has in common with the one before it */
    bool *wanted;         /* [most pages + 1]: whether a later prompt goes on from there; of one call */
    ae_decode_state kept; /* [options.states] */
    ptrdiff_t *pages;     /* [options.states]: after how many of them each was kept, rising */
    ptrdiff_t depth;      /* of those in use */
    int64_t read;
};

int ae_prompt_compare(const ae_prompt *a, const ae_prompt *b) {
    const ptrdiff_t n = ae_min(a->n, b->n);
    for (ptrdiff_t i = 0; i < n; i++)
        if (a->ids[i] != b->ids[i]) return a->ids[i] < b->ids[i] ? -1 : 1;
    return (a->n > b->n) - (a->n < b->n);
}

static ptrdiff_t pages_of(const ae_prompt *p) {
    return ae_prompt_paged(p) / AE_PAGE_TOKENS;
}

static ptrdiff_t pages_in_common(const ae_prompt *a, const ae_prompt *b) {
    const ptrdiff_t most = ae_min(pages_of(a), pages_of(b)) * AE_PAGE_TOKENS;
    ptrdiff_t same = 0;
    while (same < most && a->ids[same] == b->ids[same]) same++;
    return same / AE_PAGE_TOKENS;
}

static ae_status init(ae_prefix_walk *w) {
    const size_t n = (size_t)w->n, states = (size_t)w->options.states;
    ptrdiff_t most = 0;
    for (ptrdiff_t i = 0; i < w->n; i++) most = ae_max(most, pages_of(&w->prompts[i]));
    w->shared = calloc(n + 1, sizeof *w->shared);
    w->wanted = calloc((size_t)most + 1, sizeof *w->wanted);
    w->pages = calloc(states + 1, sizeof *w->pages);
    if (!w->shared || !w->wanted || !w->pages) return AE_FAIL(AE_ERR_RESOURCE, "prompts: out of memory");
    if (states == 0) return AE_OK;
    for (ptrdiff_t i = 1; i < w->n; i++) w->shared[i] = pages_in_common(&w->prompts[i - 1], &w->prompts[i]);
    return ae_decode_state_init(&w->kept, w->model, w->options.states);
}

ae_status ae_prefix_walk_new(ae_prefix_walk **out, const ae_model *m, ae_decoder *d, const ae_prompt *prompts,
                             ptrdiff_t n, const ae_prefix_options *o) {
    ae_prefix_walk *w = *out = calloc(1, sizeof *w);
    if (!w) return AE_FAIL(AE_ERR_RESOURCE, "prompts: out of memory");
    w->model = m;
    w->decoder = d;
    w->prompts = prompts;
    w->n = n;
    w->options = *o;
    const ae_status st = init(w);
    if (st == AE_OK) return st;
    ae_prefix_walk_delete(w);
    *out = NULL;
    return st;
}

void ae_prefix_walk_delete(ae_prefix_walk *w) {
    if (!w) return;
    ae_decode_state_free(&w->kept);
    free(w->shared);
    free(w->wanted);
    free(w->pages);
    free(w);
}

int64_t ae_prefix_walk_read(const ae_prefix_walk *w) {
    return w->read;
}

/* The pages behind `start` after which a later prompt leaves this one: the least number in common on the way to
 * it. */
static void find_wanted(ae_prefix_walk *w, ptrdiff_t start) {
    ptrdiff_t common = pages_of(&w->prompts[w->at]);
    memset(w->wanted, 0, (size_t)(common + 1) * sizeof *w->wanted);
    for (ptrdiff_t j = w->at + 1; j < w->n; j++) {
        common = ae_min(common, w->shared[j]);
        if (common <= start) return;
        w->wanted[common] = true;
    }
}

static ae_status keep(ae_prefix_walk *w, ptrdiff_t pages, const ae_decode_state *from, ptrdiff_t b) {
    if (w->depth == w->options.states) return AE_OK; /* it will be read again */
    const ae_status st = ae_decode_state_copy(&w->kept, w->depth, from, b);
    if (st == AE_OK) w->pages[w->depth++] = pages;
    return st;
}

static ae_status read_pages(ae_prefix_walk *w, ptrdiff_t start, ae_decode_state *to, ptrdiff_t b) {
    const ae_prompt *p = &w->prompts[w->at];
    for (ptrdiff_t page = start; page < pages_of(p); page++) {
        ae_status st = w->options.check ? w->options.check(w->options.context) : AE_OK;
        if (st == AE_OK)
            st = ae_decoder_read(w->decoder, to, b, 1, p->ids + page * AE_PAGE_TOKENS, AE_PAGE_TOKENS);
        if (st != AE_OK) return st;
        w->read += AE_PAGE_TOKENS;
        if (w->wanted[page + 1]) st = keep(w, page + 1, to, b);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

ae_status ae_prefix_walk_next(ae_prefix_walk *w, ae_decode_state *to, ptrdiff_t b) {
    assert(w->at < w->n);
    while (w->depth > 0 && w->pages[w->depth - 1] > w->shared[w->at]) w->depth--;
    const ptrdiff_t start = w->depth > 0 ? w->pages[w->depth - 1] : 0;
    ae_status st = AE_OK;
    if (start > 0)
        st = ae_decode_state_copy(to, b, &w->kept, w->depth - 1);
    else
        ae_decode_state_reset(to, b);
    find_wanted(w, start);
    if (st == AE_OK) st = read_pages(w, start, to, b);
    w->at++;
    return st;
}

ptrdiff_t ae_states_that_fit(const ae_model *m, ptrdiff_t tokens, ptrdiff_t most) {
    const size_t one = ae_decode_state_bytes(m->be, &m->config, 1, tokens),
                 fit = ae_memory_available_bytes() / 4 / (one > 0 ? one : 1);
    return fit < 1 ? 1 : fit < (size_t)most ? (ptrdiff_t)fit : most;
}
