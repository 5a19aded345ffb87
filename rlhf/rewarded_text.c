#include "rlhf/rewards.h"

#include <stdlib.h>
#include <string.h>

/* The last place of `id` before `end`; -1: there is none. */
static ptrdiff_t last_of(const int32_t *tokens, ptrdiff_t end, int32_t id) {
    ptrdiff_t t = end - 1;
    while (t >= 0 && tokens[t] != id) t--;
    return t;
}

/* Cuts `begin` off the front of a text; false where it begins otherwise. */
static bool take_front(char *text, size_t *n, const char *begin) {
    const size_t m = strlen(begin);
    if (*n < m || memcmp(text, begin, m) != 0) return false;
    memmove(text, text + m, *n - m + 1);
    *n -= m;
    return true;
}

/* The last turn before that of the model, where it is the user's; *text is NULL where there is none. */
static ae_status last_message(const ae_tokenizer *t, const int32_t *prompt, ptrdiff_t n, char **text,
                              size_t *n_bytes) {
    const ae_special_ids ids = ae_tokenizer_special(t);
    *text = NULL;
    if (ids.start_of_turn < 0 || ids.end_of_turn < 0) return AE_OK;
    const ptrdiff_t model = last_of(prompt, n, ids.start_of_turn),
                    end = last_of(prompt, model, ids.end_of_turn),
                    start = last_of(prompt, end, ids.start_of_turn);
    if (model < 0 || end < 0 || start < 0) return AE_OK;
    const ae_status st = ae_tokenizer_decode(t, prompt + start + 1, end - start - 1, text, n_bytes);
    if (st != AE_OK || take_front(*text, n_bytes, "user\n")) return st;
    free(*text);
    *text = NULL;
    return AE_OK;
}

ae_status ae_rewarded_text(const ae_tokenizer *t, const int32_t *prompt, ptrdiff_t n, char **text,
                           size_t *n_bytes) {
    const ae_status st = last_message(t, prompt, n, text, n_bytes);
    return st == AE_OK && !*text ? ae_tokenizer_decode(t, prompt, n, text, n_bytes) : st;
}
