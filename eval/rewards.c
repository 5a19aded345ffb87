#include "eval/rewards.h"

#include "data/json_line.h"

#include <string.h>

/* Whether the row has one of the fields. */
static bool has_any(const json_t *row, const ae_record_map *m, const ae_record_key *fields, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ae_record_get(row, m, fields[i])) return true;
    return false;
}

/* Tokens without a mask are read as those of a prompt are: as they stand. */
static ae_data_kind kind_of(const json_t *row, const ae_record_map *m) {
    static const ae_record_key of_pairs[] = {AE_RECORD_CHOSEN, AE_RECORD_REJECTED, AE_RECORD_CHOSEN_TOKENS,
                                             AE_RECORD_REJECTED_TOKENS};
    static const ae_record_key tokens[] = {AE_RECORD_TOKENS}, mask[] = {AE_RECORD_LOSS_MASK};
    if (has_any(row, m, of_pairs, sizeof of_pairs / sizeof *of_pairs)) return AE_KIND_PAIRS;
    return has_any(row, m, tokens, 1) && !has_any(row, m, mask, 1) ? AE_KIND_PROMPTS : AE_KIND_CHAT;
}

static ae_status find_kind(const ae_record_map *m, const char *line, size_t n, const char *where,
                           ae_data_kind *kind, bool *rendered) {
    static const ae_record_key fields[] = {
        AE_RECORD_TOKENS,        AE_RECORD_LOSS_MASK,     AE_RECORD_CHOSEN,         AE_RECORD_REJECTED,
        AE_RECORD_PROMPT_TOKENS, AE_RECORD_CHOSEN_TOKENS, AE_RECORD_REJECTED_TOKENS};
    enum { FIELDS = sizeof fields / sizeof *fields };
    const char *keys[FIELDS];
    json_t *row = NULL;
    for (int i = 0; i < FIELDS; i++) keys[i] = m->keys[fields[i]];
    const ae_status st = ae_json_line(&row, line, n, keys, FIELDS, where);
    if (st != AE_OK) return st;
    *kind = kind_of(row, m);
    *rendered = !ae_record_has_tokens(row, m, *kind);
    json_decref(row);
    return AE_OK;
}

/* Tokens up to the end of the last answer. */
static ptrdiff_t answered(const ae_example *e, bool rendered) {
    ptrdiff_t n = e->tokens.n;
    if (rendered || !e->mask) return n;
    while (n > 0 && !e->mask[n - 1]) n--;
    return n > 0 ? n : e->tokens.n;
}

static ae_status pair_answer(ae_scorer *s, ae_example *e, json_t **answer) {
    const ae_ids *const answers[] = {&e->chosen, &e->rejected};
    const ptrdiff_t prompt = e->tokens.n;
    double rewards[2] = {0};
    for (int k = 0; k < 2; k++) {
        e->tokens.n = prompt;
        ae_status st = ae_ids_extend(&e->tokens, answers[k]->ids, answers[k]->n);
        if (st == AE_OK) st = ae_scorer_reward(s, e->tokens.ids, e->tokens.n, &rewards[k]);
        if (st != AE_OK) return st;
    }
    *answer =
        json_pack("{s:o, s:o}", "chosen", ae_json_number(rewards[0]), "rejected", ae_json_number(rewards[1]));
    return AE_OK;
}

static ae_status dialogue_answer(ae_scorer *s, const ae_example *e, bool rendered, json_t **answer) {
    double reward = 0;
    const ae_status st = ae_scorer_reward(s, e->tokens.ids, answered(e, rendered), &reward);
    if (st == AE_OK) *answer = json_pack("{s:o}", "reward", ae_json_number(reward));
    return st;
}

ae_status ae_reward_line(ae_scorer *s, const ae_reward_rules *rules, const char *line, size_t n,
                         const char *where, json_t **answer) {
    ae_example_rules example = {.map = rules->map,
                                .tokenizer = rules->tokenizer,
                                .vocab_size = rules->vocab_size,
                                .told_key = rules->told_key};
    ae_example e = {0};
    bool rendered = false;
    ae_status st;
    *answer = NULL;
    AE_TRY(find_kind(rules->map, line, n, where, &example.kind, &rendered));
    AE_TRY(ae_example_read(&e, &example, line, n, where));
    st =
        example.kind == AE_KIND_PAIRS ? pair_answer(s, &e, answer) : dialogue_answer(s, &e, rendered, answer);
    if (st != AE_OK) ae_fail_prefix("%s", where);
    if (st == AE_OK && !*answer) st = AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
out:
    ae_example_free(&e);
    return st;
}
