#ifndef AE_EVAL_TEXT_STREAM_H
#define AE_EVAL_TEXT_STREAM_H
#include "data/tokenizer.h"

#include <stdbool.h>

/* Text that grows token by token: what is added is whole UTF-8 characters, so bytes of a character that comes
 * in several tokens wait for the last of them. Each token costs the same however long the text is. */
typedef struct {
    const ae_tokenizer *tokenizer; /* borrowed */
    ae_ids window;                 /* context, then tokens whose text is not out yet */
    ptrdiff_t context;
    ptrdiff_t anchor; /* so many tokens of the context, from the first, say that a text has begun */
    char *text;       /* all text so far, NUL after it */
    size_t n, capacity;
} ae_text_stream;

void ae_text_stream_init(ae_text_stream *s, const ae_tokenizer *t);
/* Before the first token: the text follows that of these ones, a prompt. It is what all tokens together
 * decode to behind what the prompt alone does, since tokenizers that put a space in front of a text drop that
 * of its first word only. */
ae_status ae_text_stream_follow(ae_text_stream *s, const int32_t *ids, ptrdiff_t n);
void ae_text_stream_free(ae_text_stream *s);
/* Takes in one token; `text` grows by what became certain. */
ae_status ae_text_stream_push(ae_text_stream *s, int32_t id);
/* No token will follow: what still waits comes out as it is. */
ae_status ae_text_stream_finish(ae_text_stream *s);

/* Stop strings are not empty. Where the first of the stop strings begins at or after `from`; SIZE_MAX when
 * none is there. */
size_t ae_text_find_stop(const char *text, size_t n, size_t from, const char *const *stops, size_t n_stops);
/* How many bytes at the end of `text` may be the beginning of a stop string. */
size_t ae_text_maybe_stop(const char *text, size_t n, const char *const *stops, size_t n_stops);

#endif
