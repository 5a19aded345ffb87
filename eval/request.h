#ifndef AE_EVAL_REQUEST_H
#define AE_EVAL_REQUEST_H
#include "core/json.h"
#include "data/tokenizer.h"

#include <stdbool.h>

/* Lines of JSON that ask for scores or answers (docs/interfaces.md, "Contracts"). Faults are AE_ERR_INPUT;
 * `where` ("F.jsonl:12") opens their message. */

typedef struct {
    const ae_tokenizer *tokenizer; /* NULL: only `tokens` are taken */
    int64_t vocab;                 /* of the model */
    bool bos;                      /* text is <bos> and its encoding */
} ae_request_rules;

/* An object from one line. A field that no request has is left out; the first one of a run is warned about,
 * `told` being false until then, unless it is a note that people keep beside a request (data/row_keys.h). */
ae_status ae_request_parse(json_t **object, const char *line, size_t n, const char *where, bool *told);

/* The ids of `tokens` or of the text under `text_key`, at least one; exactly one of the keys is there. `ids`
 * is appended to. */
ae_status ae_request_ids(const json_t *object, const char *text_key, const ae_request_rules *rules,
                         const char *where, ae_ids *ids);

/* Whether the model has the ids that its tokenizer gives: a tokenizer larger than the model is
 * AE_ERR_INPUT. */
ae_status ae_request_check_range(const ae_ids *ids, const ae_request_rules *rules, const char *where);

/* What an answer follows: "prompt" or "tokens" as above, or "messages", a dialogue that ends with a turn of
 * the user, rendered up to the place of the model's answer. */
ae_status ae_request_prompt(const json_t *object, const ae_request_rules *rules, const char *where,
                            ae_ids *ids);

/* Optional lists that go with `tokens`, as long as these: `positions` (entry 0 is 0, each next one 0 or one
 * more; absent: 0, 1, 2, ...) and `loss_mask` (0 or 1; absent: 1). Every entry of the results is set. */
ae_status ae_request_positions(const json_t *object, const char *where, ptrdiff_t n, int32_t *positions);
ae_status ae_request_mask(const json_t *object, const char *where, ptrdiff_t n, uint8_t *mask);

#endif
