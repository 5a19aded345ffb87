#ifndef AE_MODEL_LOT_H
#define AE_MODEL_LOT_H
#include "model/cut.h"
#include "model/logits.h"
#include "model/sampler.h"

/* What a token is drawn from, and how vector sums find it (model/sampler.c). */

typedef struct {
    double *each;     /* [V]: terms; or, in their place, ids and values of what is kept */
    float *values;    /* [V]: for what reorders them */
    float *between;   /* [V]: logits between two bounds */
    double *sums;     /* of blocks: what is kept */
    double *below;    /* of blocks: what is below both bounds */
    float *tops[2];   /* of groups; and of the logits that come after */
    float *sample[2]; /* of groups: one logit of each */
    int32_t *counts;  /* of each block's `between` */
    int32_t *ties;    /* that a cut still keeps, before each block */
    float *copy;      /* [V]: logits with a penalty on some */
} ae_lot_room;

/* The parts of the room of a draw; in `bytes` how large it is. `room` NULL: only that. */
ae_lot_room ae_lot_room_of(void *room, ptrdiff_t V, size_t *bytes);

typedef struct {
    const float *logits;
    const float *next; /* [n] that the thread draws from after these; NULL: none */
    bool has_next;     /* the room has the groups of `next` */
    int side; /* which tops and sample in the room are those of `logits`; the others are for `next` */
    ptrdiff_t n;
    const ae_sampling *how;
    ae_measure weight;
    ae_logit_law law; /* of those weights */
    double total;     /* of all those weights; 0: not summed */
    ae_lot_room room;
    int threads;
} ae_lot;

/* How far sums of terms, relative to all n of them, may lie from those in another order and with another exp. */
double ae_lot_doubt(ptrdiff_t n);

/* Sum over x [n], in order. */
double ae_lot_total(const double *x, ptrdiff_t n);

/* With weights right to a share `rough` each: how far p times the sum of all may lie from an edge in that sum. What is
 * before the edge counts in both, so 1 - p times, and what is after it p times. */
double ae_lot_rough_doubt(double rough, double p, double before, double after);

/* How far an edge between tokens may lie from where sums in order have it. */
typedef struct {
    double edge;  /* in any case */
    double rough; /* and what share of itself the sum of a block may be wrong; terms in a block are not */
} ae_lot_edges;

/* The id where the sums of what is kept of each block, in the room, pass the share `uniform` of all; `ties` of the cut at
 * each block's first id, NULL: all is kept. -1 where an edge is too near. */
ptrdiff_t ae_lot_find(const ae_lot *l, double uniform, ae_lot_edges edges, ae_cut cut, const int32_t *ties);

/* Where the room keeps the groups of the logits, or with `ahead` those of `next`. */
ae_logit_groups ae_lot_groups(const ae_lot *l, bool ahead);

/* The token at `uniform` in the smallest set that reaches top_p, in logits with their groups in the room;
 * -1 where vector sums leave a doubt. Leaves the groups of `next` in the room too. */
ptrdiff_t ae_lot_draw_nucleus(ae_lot *l, double uniform);

#endif
