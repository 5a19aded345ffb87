#ifndef AE_RLHF_PACKED_H
#define AE_RLHF_PACKED_H
#include "rlhf/answers.h"

/* The answers of a step as rows of a batch. A document is the prompt and the answer without its last token,
 * with positions from 0, so that no answer sees another; the targets are the answer's tokens. Best fit, longest
 * first, into as few rows of at most T tokens as that takes, and these as short as it allows.
 *
 * Makes the batch (the caller frees it) and sets the place of every answer that is not unread, of which there is one
 * at least: token t of the answer is the target
 * of place + n_prompt - 1 + t. AE_ERR_DEFECT for an answer that does not fit a row. */
ae_status ae_packed_make(ae_batch *b, ae_written_set *s, ptrdiff_t T);

/* The most rows that n answers of up to `tokens` tokens, prompts among them, may take. */
ptrdiff_t ae_packed_rows(ptrdiff_t n, int64_t tokens, ptrdiff_t T);

#endif
