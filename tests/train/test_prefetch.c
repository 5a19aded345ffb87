#include "tests/train/rig.h"
#include "train/prefetch.h"

#include <unistd.h>

/* Pieces that hold their number; making one of them fails. */
typedef struct {
    int64_t made, fails_at;
    int alive;
} counter;

static ae_status new_piece(void *self, void **piece) {
    ((counter *)self)->alive++;
    *piece = calloc(1, sizeof(int64_t));
    return AE_OK;
}

static void free_piece(void *self, void *piece) {
    ((counter *)self)->alive -= piece != NULL;
    free(piece);
}

static ae_status make_piece(void *self, void *piece) {
    counter *c = self;
    if (c->made == c->fails_at) return AE_FAIL(AE_ERR_INPUT, "piece %ld: nothing there", (long)c->made);
    *(int64_t *)piece = c->made++;
    return AE_OK;
}

static ae_prefetch *start(counter *c, bool own_memory) {
    ae_prefetch *p = NULL;
    ae_objective o = {.self = c, .next = make_piece, .piece_bytes = sizeof(int64_t)};
    if (own_memory) {
        o.new_work = new_piece;
        o.free_work = free_piece;
    }
    ASSERT_OK(ae_prefetch_start(&p, &o));
    return p;
}

/* Good pieces first, in order, then the failure of the thread with its message, again and again. */
static void take_all(bool own_memory) {
    counter c = {.fails_at = 30};
    void *piece = NULL;
    ae_prefetch *p = start(&c, own_memory);
    for (int64_t i = 0; i < 30; i++) {
        ASSERT_OK(ae_prefetch_next(p, &piece));
        cr_assert_eq(*(int64_t *)piece, i);
    }
    for (int i = 0; i < 2; i++) {
        ASSERT_FAILS(AE_ERR_INPUT, ae_prefetch_next(p, &piece));
        ASSERT_SAYS("piece 30: nothing there");
        cr_assert_null(piece);
    }
    ae_prefetch_stop(p);
    cr_assert_eq(c.alive, 0);
}

Test(prefetch, hands_pieces_on_in_order_and_then_the_failure) {
    take_all(true);
    take_all(false);
}

/* The piece in use stays as it is while the thread works ahead. */
Test(prefetch, leaves_the_piece_in_use_alone) {
    counter c = {.fails_at = -1};
    void *piece = NULL;
    ae_prefetch *p = start(&c, true);
    for (int64_t i = 0; i < 20; i++) {
        ASSERT_OK(ae_prefetch_next(p, &piece));
        usleep(2000);
        cr_assert_eq(*(int64_t *)piece, i);
    }
    ae_prefetch_stop(p);
    cr_assert_leq(c.made, 20 + AE_PREFETCH_PIECES - 1);
}

Test(prefetch, stops_at_once_when_asked) {
    for (int i = 0; i < 20; i++) {
        counter c = {.fails_at = -1};
        void *piece;
        ae_prefetch *p = start(&c, true);
        for (int k = 0; k < i % 4; k++) ASSERT_OK(ae_prefetch_next(p, &piece));
        ae_prefetch_stop(p);
        cr_assert_eq(c.alive, 0);
    }
    ae_prefetch_stop(NULL);
}
