#ifndef AE_RLHF_PACKED_H
#define AE_RLHF_PACKED_H
#include "rlhf/answers.h"

/* The answers of a step as rows of a batch. A document is a prompt with an answer, with positions from 0, so that
 * no answer sees another; the last tokens of answers are targets only. With `share` neighbouring answers to one
 * prompt are one document with forks (ops/types.h): the prompt without its last token is the trunk, and each
 * answer goes on with that token. A document that would not fit a row is several, and where smaller documents fill
 * the rows so much better that less is left to compute, they are taken. Best fit, longest first, into as few rows of
 * at most T tokens as that takes, and these as short as it allows.
 *
 * Makes the batch (the caller frees it) and sets the place of every answer that is not unread, of which there is one
 * at least: token t of the answer is the target of place + t. AE_ERR_DEFECT for an answer that does not fit a row. */
ae_status ae_packed_make(ae_batch *b, ae_written_set *s, ptrdiff_t T, bool share);

/* The most rows that n answers of up to `tokens` tokens, prompts among them, may take, if they share nothing. */
ptrdiff_t ae_packed_rows(ptrdiff_t n, int64_t tokens, ptrdiff_t T);

#endif
