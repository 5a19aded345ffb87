#include "rlhf/prompts.h"

#include "core/dims.h"
#include "data/row_name.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t tokens_of(const ae_token_set *s, int64_t document) {
    const int64_t *starts = ae_token_set_doc_starts(s);
    return starts[document + 1] - starts[document];
}

static ae_status refuse_long(const ae_token_set *s, int64_t document, int64_t row_tokens, int64_t max_new) {
    char name[1024];
    ae_row_name(name, sizeof name, s, document, "prompt");
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected at most %lld tokens, what rl.max_new=%lld leaves of a row of %lld, found %lld; "
        "raise train.row_tokens to %lld, lower rl.max_new, or set data.too_long to drop",
        name, (long long)(row_tokens - max_new), (long long)max_new, (long long)row_tokens,
        (long long)tokens_of(s, document), (long long)(tokens_of(s, document) + max_new));
}

/* None is left: all are too long, or empty. */
static ae_status refuse_all(const ae_prompt_set *p, int64_t longest, int64_t row_tokens, int64_t max_new) {
    char name[1024], remedy[160] = "";
    ae_set_name(name, sizeof name, p->set);
    if (p->dropped > 0)
        snprintf(remedy, sizeof remedy,
                 ": the longest has %lld; raise train.row_tokens to %lld, or lower rl.max_new",
                 (long long)longest, (long long)(longest + max_new));
    return AE_FAIL(AE_ERR_INPUT,
                   "%s: expected a prompt that leaves %lld tokens of a row of %lld, found none%s", name,
                   (long long)max_new, (long long)row_tokens, remedy);
}

static ae_status list_usable(ae_prompt_set *p, int64_t row_tokens, int64_t max_new, ae_too_long too_long) {
    const int64_t documents = ae_token_set_documents(p->set);
    int64_t longest = 0;
    for (int64_t d = 0; d < documents; d++) {
        const int64_t tokens = tokens_of(p->set, d);
        const bool fits = tokens + max_new <= row_tokens;
        if (!fits && too_long == AE_TOO_LONG_ERROR) return refuse_long(p->set, d, row_tokens, max_new);
        p->dropped += !fits;
        longest = ae_max(longest, tokens);
        if (!fits || tokens == 0) continue;
        p->usable[p->n++] = d;
        p->longest = ae_max(p->longest, tokens);
    }
    return p->n > 0 ? AE_OK : refuse_all(p, longest, row_tokens, max_new);
}

ae_status ae_prompt_set_init(ae_prompt_set *p, ae_token_set *set, int64_t row_tokens, int64_t max_new,
                             ae_too_long too_long) {
    *p = (ae_prompt_set){.set = set};
    if (too_long == AE_TOO_LONG_CUT)
        return AE_FAIL(AE_ERR_USAGE,
                       "data.too_long: expected error or drop for prompts, found cut: an answer is "
                       "one to a whole prompt");
    const int64_t documents = ae_token_set_documents(set);
    p->usable = malloc((size_t)ae_max(1, documents) * sizeof *p->usable);
    ae_status st = p->usable ? list_usable(p, row_tokens, max_new, too_long)
                             : AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", ae_token_set_path(set));
    if (st != AE_OK) ae_prompt_set_free(p);
    return st;
}

ae_status ae_prompt_set_check_meta(const ae_prompt_set *p, const ae_rewards *r) {
    for (int64_t i = 0; i < p->n; i++) {
        size_t n = 0;
        const char *meta = ae_token_set_meta(p->set, p->usable[i], &n);
        const ae_status st = ae_rewards_check_meta(r, meta, n);
        if (st == AE_OK) continue;
        char name[1024];
        ae_row_name(name, sizeof name, p->set, p->usable[i], "prompt");
        ae_fail_prefix("%s", name);
        return st;
    }
    return AE_OK;
}

void ae_prompt_set_free(ae_prompt_set *p) {
    free(p->usable);
    *p = (ae_prompt_set){0};
}
