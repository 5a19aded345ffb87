#ifndef AE_DATA_RENDER_H
#define AE_DATA_RENDER_H
#include "data/dialogue.h"
#include "data/tokenizer.h"

/* Dialogues as token ids, the same for tuning, rewards, RLHF and chat:
 *
 *     <bos> <start_of_turn> "user\n" TEXT <end_of_turn> "\n" <start_of_turn> "model\n" ANSWER <end_of_turn>
 *     "\n" <start_of_turn> "user\n" TEXT <end_of_turn> "\n" <start_of_turn> "model\n" ANSWER ...
 *
 * The turn markers are single ids. What stands in quotes and the texts is encoded as text, in these
 * parts: "user\nTEXT" in one, "model\n", ANSWER and "\n" apart. Text never gives a control token, whatever
 * the tokenizer makes of its spelling. White space at the ends of each text is cut; a system message
 * stands before the first text of the user, with an empty line between them. ANSWER and its <end_of_turn>
 * are what is learnt. */

/* AE_ERR_INPUT unless the tokenizer has <bos>, <start_of_turn> and <end_of_turn>; `where` names it. */
ae_status ae_render_check(const ae_tokenizer *t, const char *where);

/* Appends what a turn of the user adds, up to and with "model\n": after it the model answers. The first
 * one begins with <bos>, the others with the "\n" after the <end_of_turn> of the answer before, which the
 * model does not write. `system`, of `system_bytes`, may be NULL. */
ae_status ae_render_user(const ae_tokenizer *t, bool first, const char *system, size_t system_bytes,
                         const char *text, size_t n, ae_ids *out);
/* Appends ANSWER <end_of_turn>. */
ae_status ae_render_answer(const ae_tokenizer *t, const char *text, size_t n, ae_ids *out);

/* An answer with its <end_of_turn>: tokens [begin, end). */
typedef struct {
    ptrdiff_t begin, end;
    bool counts;
} ae_answer_span;

typedef struct {
    ae_ids ids;
    uint8_t *mask; /* [ids.n]: 1 in the answers that count */
    ae_answer_span *answers;
    ptrdiff_t n_answers;
} ae_rendered;
void ae_rendered_free(ae_rendered *r);

/* The dialogue up to its last answer. */
ae_status ae_render_dialogue(const ae_tokenizer *t, const ae_dialogue *d, ae_rendered *r);
/* Appends the dialogue, which ends with a turn of the user, up to the place of the answer. */
ae_status ae_render_prompt(const ae_tokenizer *t, const ae_dialogue *d, ae_ids *out);
/* Appends the prompt that a pair has in common, and its two answers. */
ae_status ae_render_pair(const ae_tokenizer *t, const ae_pair *p, ae_ids *prompt, ae_ids *chosen,
                         ae_ids *rejected);

#endif
