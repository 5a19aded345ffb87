#ifndef AE_DATA_DIALOGUE_READ_H
#define AE_DATA_DIALOGUE_READ_H
#include "data/dialogue.h"

/* Readers of the values that a row holds; all append to `d`. `where` names the field: "F.jsonl:3:
 * messages". */

/* A list of {"role", "content", "weight"?}. `counts` is false where answers are not learnt from, whatever
 * their weight. */
ae_status ae_read_messages(ae_dialogue *d, const json_t *list, bool counts, const char *where);
/* A list of {"from", "value"}, as ShareGPT has it, or of {"role", "content"}. */
ae_status ae_read_conversations(ae_dialogue *d, const json_t *list, const char *where);

/* Whether a text is a dialogue in the spelling "\n\nHuman: ...\n\nAssistant: ...". */
bool ae_is_spelled_dialogue(const json_t *value);
/* Reads one. `open`: an empty answer at the end is the place for one, and left out. */
ae_status ae_read_spelled(ae_dialogue *d, const json_t *text, bool counts, bool open, const char *where);

#endif
