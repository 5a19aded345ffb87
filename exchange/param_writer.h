#ifndef AE_EXCHANGE_PARAM_WRITER_H
#define AE_EXCHANGE_PARAM_WRITER_H
#include "formats/tensors.h"
#include "model/params.h"

/* The parameters of a table written from front to back into a Hugging Face folder, in one file or in shards,
 * as float32 or bfloat16 numbers: what export, merge and trim have in common. */

/* Asked between pieces, with the bytes written so far and in all: for progress and interrupts. A status that
 * is not AE_OK ends the work. */
typedef struct {
    ae_status (*ask)(void *context, int64_t done, int64_t all); /* may be NULL */
    void *context;
} ae_watch;

/* Numbers that are read, changed and written at a time. */
enum { AE_PARAM_PIECE = 1 << 20 };

typedef struct {
    const char *folder;
    const ae_params *params; /* outlive the writer */
    bool bf16, f16;          /* of all tensors but heads; else float32 */
    const ae_tensors *like;  /* instead of `bf16`: bfloat16 is what is bfloat16 there; NULL: no */
    int64_t shard_bytes;     /* as in model/shards_write.h */
    ae_watch watch;
} ae_param_writer_options;

typedef struct ae_param_writer ae_param_writer;

ae_status ae_param_writer_create(ae_param_writer **w, const ae_param_writer_options *o);
/* The next n numbers of the table's order, at most AE_PARAM_PIECE and all of one tensor: float32 as they are,
 * bfloat16 to the nearest, ties to even. */
ae_status ae_param_writer_put(ae_param_writer *w, const float *x, int64_t n);
/* The same of doubles, rounded once. AE_ERR_INPUT names the tensor for one that is not finite or becomes
 * infinite. */
ae_status ae_param_writer_put_sums(ae_param_writer *w, const double *x, int64_t n);
/* Asks the watch between two pieces. */
ae_status ae_param_writer_ask(const ae_param_writer *w);
/* Syncs, and frees the writer in any case. */
ae_status ae_param_writer_finish(ae_param_writer *w);
/* Gives up. NULL is fine. */
void ae_param_writer_discard(ae_param_writer *w);

#endif
