#ifndef AE_DATA_LOADER_H
#define AE_DATA_LOADER_H
#include "core/status.h"
#include "data/token_set.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows of T tokens out of token sets (docs/interfaces.md, "Rows"). Row r takes tokens [rT, rT+T), targets one later;
 * n tokens give ceil((n-1)/T) rows, the last one padded. After the last row comes row 0 again, inside a batch too. With shuffle each
 * epoch of a set has an order of its own, a function of the seed and the epoch.
 *
 * With several sets a row's set is drawn by weight, by a low-discrepancy rule that is a function of the row's number alone; each
 * set keeps its own position. Phases change the weights at given steps. */

typedef struct {
    int32_t *tokens;  /* [B, T] inputs; padding is 0 */
    int32_t *targets; /* [B, T] */
    int32_t *
        positions; /* [B, T] from 0 at every document and row start (streams: document only); padding counts on */
    float *weights; /* [B, T] 1 where the target counts, else 0 */
    ptrdiff_t B, T;
    int64_t n_tokens;  /* inputs without padding */
    int64_t n_targets; /* entries of weights that are 1 */
} ae_batch;
ae_status ae_batch_init(ae_batch *b, ptrdiff_t B, ptrdiff_t T);
void ae_batch_free(ae_batch *b);

/* Row `row` of one set, in file order, into row `at` of a batch; adds to n_tokens and n_targets. */
int64_t ae_rows_in_set(int64_t n_tokens, ptrdiff_t T);
ae_status ae_row_read(ae_token_set *s, int64_t row, ae_batch *b, ptrdiff_t at);
/* The same with positions that go on across row starts: those of the documents. */
ae_status ae_row_read_on(ae_token_set *s, int64_t row, ae_batch *b, ptrdiff_t at);

/* A set cut into streams for rows that carry their state: its n-1 tokens that have a next one, in file order, in equal parts (to
 * one token). A stream begins anew behind its end, inside a row too; its first token is like a document's first. */
typedef struct {
    int64_t first, tokens;
} ae_stream;
ae_stream ae_stream_of(int64_t n_tokens, ptrdiff_t streams, ptrdiff_t stream);
/* Row k of one of b->B streams, tokens [kT, kT+T) of its endless repetition, into that row of the batch: it continues row k-1, and
 * positions go on where that ended inside a document. Needs a stream of at least a token. */
ae_status ae_stream_read(ae_token_set *s, int64_t k, ae_batch *b, ptrdiff_t stream);

enum { AE_LOADER_SETS_MAX = 64, AE_LOADER_PHASES_MAX = 32 };

typedef struct {
    int64_t from_step;                 /* first step (from 1) for which these weights hold */
    double weight[AE_LOADER_SETS_MAX]; /* by set */
} ae_phase;

typedef struct {
    ae_token_set *sets[AE_LOADER_SETS_MAX]; /* owned once parsed */
    size_t n_sets;
    ae_phase phases[AE_LOADER_PHASES_MAX];
    size_t n_phases;
} ae_mixture;

/* From `data.train`: a path; a list of paths or {path, weight}; or phases
 * [{from_step: 1, sets: [{path, weight}, ...]}, ...]. JSON text as AE_FIELD_TREE keeps it. All sets must agree in vocabulary and, where
 * they carry one, tokenizer. */
ae_status ae_mixture_open(ae_mixture *m, const char *tree);
void ae_mixture_close(ae_mixture *m);
/* Rows that carry their state come from one set: AE_ERR_USAGE where there are more. */
ae_status ae_mixture_check_streams(const ae_mixture *m);

typedef struct ae_loader ae_loader;
typedef struct {
    ptrdiff_t rows;       /* of a global step */
    ptrdiff_t row_tokens; /* T */
    uint64_t seed;
    bool shuffle;
    bool streams; /* row b of a step continues row b of the step before; one set, no shuffle */
} ae_loader_options;

/* Batches of steps first_step, first_step + 1, ... made ahead by a thread. A loader started at step s gives what one started
 * at 1 gives from s on: positions are recomputed from the options alone, or taken from `position` when not NULL. */
ae_status ae_loader_start(ae_loader **l, const ae_mixture *m, const ae_loader_options *o, int64_t first_step,
                          const char *position_json);
/* The batch of the next step; valid until the next call. */
ae_status ae_loader_next(ae_loader *l, const ae_batch **batch);
/* Position before the first row of every set, as JSON (caller frees). */
ae_status ae_loader_beginning(const ae_mixture *m, char **json);
/* Position after the batches handed out so far, as JSON (caller frees): rows taken from each set. */
ae_status ae_loader_position(const ae_loader *l, char **json);
void ae_loader_stop(ae_loader *l);

#endif
