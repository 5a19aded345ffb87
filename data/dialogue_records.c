#include "core/config.h"
#include "core/file.h"
#include "data/dialogue.h"
#include "data/dialogue_read.h"
#include "data/json_line.h"
#include "data/utf8.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields and keys ---- */

/* By ae_record_key. */
static const char *const field_names[AE_RECORD_KEYS] = {
    "tokens",        "loss_mask",     "messages",        "conversations", "prompt",
    "completion",    "instruction",   "input",           "output",        "instances",
    "text",          "chosen",        "rejected",        "margin",        "meta",
    "prompt_tokens", "chosen_tokens", "rejected_tokens", "system"};

static const ae_record_key chat_fields[] = {
    AE_RECORD_TOKENS, AE_RECORD_LOSS_MASK,  AE_RECORD_MESSAGES,    AE_RECORD_CONVERSATIONS,
    AE_RECORD_PROMPT, AE_RECORD_COMPLETION, AE_RECORD_INSTRUCTION, AE_RECORD_INPUT,
    AE_RECORD_OUTPUT, AE_RECORD_INSTANCES,  AE_RECORD_TEXT,        AE_RECORD_SYSTEM};
static const ae_record_key pair_fields[] = {
    AE_RECORD_PROMPT,        AE_RECORD_CHOSEN,        AE_RECORD_REJECTED,       AE_RECORD_MARGIN,
    AE_RECORD_PROMPT_TOKENS, AE_RECORD_CHOSEN_TOKENS, AE_RECORD_REJECTED_TOKENS};
static const ae_record_key prompt_fields[] = {AE_RECORD_TOKENS, AE_RECORD_PROMPT, AE_RECORD_MESSAGES,
                                              AE_RECORD_META};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static ae_status map_one(ae_record_map *m, char *pair) {
    char *equals = strchr(pair, '=');
    if (!equals || equals == pair || !equals[1])
        return AE_FAIL(AE_ERR_USAGE, "map: expected FIELD=KEY, found '%s'", pair);
    *equals = '\0';
    for (int f = 0; f < AE_RECORD_KEYS; f++)
        if (strcmp(pair, field_names[f]) == 0) {
            m->keys[f] = equals + 1;
            m->mapped[f] = true;
            return AE_OK;
        }
    const char *near = ae_nearest_word(pair, field_names, AE_RECORD_KEYS);
    return AE_FAIL(AE_ERR_USAGE,
                   "map: expected a field such as prompt, completion, instruction, output, messages, chosen, "
                   "rejected or meta before '=', found '%s'%s%s%s",
                   pair, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

ae_status ae_record_map_init(ae_record_map *m, const char *mapping) {
    char *rest = NULL;
    ae_status st = AE_OK;
    *m = (ae_record_map){0};
    for (int f = 0; f < AE_RECORD_KEYS; f++) m->keys[f] = field_names[f];
    if (!mapping) return AE_OK;
    m->text = strdup(mapping);
    if (!m->text) return AE_FAIL(AE_ERR_RESOURCE, "map: out of memory");
    for (char *pair = strtok_r(m->text, ",", &rest); pair && st == AE_OK; pair = strtok_r(NULL, ",", &rest))
        st = map_one(m, pair);
    if (st != AE_OK) ae_record_map_free(m);
    return st;
}

void ae_record_map_free(ae_record_map *m) {
    free(m->text);
    *m = (ae_record_map){0};
}

static const struct {
    const ae_record_key *fields;
    size_t n;
} of_kind[] = {[AE_KIND_CHAT] = {chat_fields, COUNT(chat_fields)},
               [AE_KIND_PAIRS] = {pair_fields, COUNT(pair_fields)},
               [AE_KIND_PROMPTS] = {prompt_fields, COUNT(prompt_fields)}};

ae_status ae_record_map_check(const ae_record_map *m, ae_data_kind kind) {
    for (int f = 0; f < AE_RECORD_KEYS; f++) {
        bool known = !m->mapped[f];
        for (size_t i = 0; i < of_kind[kind].n; i++) known |= (int)of_kind[kind].fields[i] == f;
        if (!known)
            return AE_FAIL(AE_ERR_USAGE,
                           "map: expected a field of %s, found '%s', which such rows do not have",
                           ae_data_kind_name(kind), field_names[f]);
    }
    return AE_OK;
}

size_t ae_record_keys_of(ae_data_kind kind, const ae_record_map *m, const char *keys[AE_RECORD_KEYS]) {
    for (size_t i = 0; i < of_kind[kind].n; i++) keys[i] = m->keys[of_kind[kind].fields[i]];
    return of_kind[kind].n;
}

ae_status ae_record_read(json_t **row, ae_data_kind kind, const ae_record_map *m, const char *line, size_t n,
                         const char *where) {
    const char *keys[AE_RECORD_KEYS];
    const size_t n_keys = ae_record_keys_of(kind, m, keys);
    return ae_json_line(row, line, n, keys, n_keys, where);
}

const json_t *ae_record_get(const json_t *row, const ae_record_map *m, ae_record_key field) {
    const json_t *v = json_object_get(row, m->keys[field]);
    return json_is_null(v) ? NULL : v;
}

bool ae_record_has_tokens(const json_t *row, const ae_record_map *m, ae_data_kind kind) {
    if (kind != AE_KIND_PAIRS) return ae_record_get(row, m, AE_RECORD_TOKENS) != NULL;
    return ae_record_get(row, m, AE_RECORD_PROMPT_TOKENS) || ae_record_get(row, m, AE_RECORD_CHOSEN_TOKENS) ||
           ae_record_get(row, m, AE_RECORD_REJECTED_TOKENS);
}

/* ---- values ---- */

/* "where: field" of one row. */
typedef struct {
    const json_t *row;
    const ae_record_map *m;
    const char *where;
    char place[AE_WHERE_BYTES];
} source;

static const json_t *get(const source *s, ae_record_key field) {
    return ae_record_get(s->row, s->m, field);
}

static const char *at(source *s, ae_record_key field) {
    snprintf(s->place, sizeof s->place, "%s: %s", s->where, s->m->keys[field]);
    return s->place;
}

static ae_status unexpected(const char *place, const char *expected, const json_t *v) {
    return AE_FAIL(AE_ERR_INPUT, "%s: expected %s, found %s", place, expected, ae_json_type_name(v));
}

static ae_status add_text(ae_dialogue *d, ae_role role, const json_t *text, const char *place) {
    if (!json_is_string(text)) return unexpected(place, "text", text);
    return ae_dialogue_add(d, role, true, json_string_value(text), json_string_length(text), place);
}

/* A text of that role, or a list of messages. */
static ae_status add_side(ae_dialogue *d, ae_role role, const json_t *v, bool counts, const char *place) {
    if (json_is_array(v)) return ae_read_messages(d, v, counts, place);
    if (json_is_string(v)) return add_text(d, role, v, place);
    return unexpected(place, "text or a list of messages", v);
}

/* Answers in a prompt do not count. */
static ae_status add_prompt(ae_dialogue *d, source *s) {
    const json_t *v = get(s, AE_RECORD_PROMPT);
    const char *place = at(s, AE_RECORD_PROMPT);
    if (ae_is_spelled_dialogue(v)) return ae_read_spelled(d, v, false, true, place);
    return add_side(d, AE_ROLE_USER, v, false, place);
}

static ae_status expect_user_last(const ae_dialogue *d, const char *place) {
    if (d->n && d->items[d->n - 1].role == AE_ROLE_USER) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a turn of the user last, found %s", place,
                   d->n == 0                                  ? "none"
                   : d->items[d->n - 1].role == AE_ROLE_MODEL ? "an answer"
                                                              : "a system message");
}

/* ---- chat ---- */

/* Beside the turns, as ShareGPT has it. */
static ae_status add_system(ae_dialogue *d, source *s) {
    const json_t *v = get(s, AE_RECORD_SYSTEM);
    return v ? add_text(d, AE_ROLE_SYSTEM, v, at(s, AE_RECORD_SYSTEM)) : AE_OK;
}

static ae_status chat_messages(ae_dialogue *d, source *s) {
    const ae_status st = add_system(d, s);
    if (st != AE_OK) return st;
    return ae_read_messages(d, get(s, AE_RECORD_MESSAGES), true, at(s, AE_RECORD_MESSAGES));
}

static ae_status chat_conversations(ae_dialogue *d, source *s) {
    const ae_status st = add_system(d, s);
    if (st != AE_OK) return st;
    return ae_read_conversations(d, get(s, AE_RECORD_CONVERSATIONS), at(s, AE_RECORD_CONVERSATIONS));
}

static ae_status chat_completion(ae_dialogue *d, source *s) {
    const json_t *v = get(s, AE_RECORD_COMPLETION);
    ae_status st = add_prompt(d, s);
    if (st == AE_OK) st = expect_user_last(d, at(s, AE_RECORD_PROMPT));
    if (st != AE_OK) return st;
    return add_side(d, AE_ROLE_MODEL, v, true, at(s, AE_RECORD_COMPLETION));
}

/* The user's text of a task: the instruction and, below an empty line, its input where there is one. */
static ae_status add_task(ae_dialogue *d, source *s, const json_t *input, const char *input_place) {
    const json_t *v = get(s, AE_RECORD_INSTRUCTION);
    size_t n = 0;
    if (input && !json_is_string(input)) return unexpected(input_place, "text", input);
    const char *place = at(s, AE_RECORD_INSTRUCTION);
    if (!json_is_string(v)) return unexpected(place, "text", v);
    char *text = ae_text_join(json_string_value(v), json_string_length(v), json_string_value(input),
                              json_string_length(input), &n);
    if (!text) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", place);
    const ae_status st = ae_dialogue_add(d, AE_ROLE_USER, true, text, n, place);
    free(text);
    return st;
}

/* The layout of seed tasks: {"instruction", "instances": [{"input", "output"}]}. */
static ae_status chat_instances(ae_dialogue *d, source *s) {
    const json_t *list = get(s, AE_RECORD_INSTANCES), *one = json_array_get(list, 0);
    char place[AE_WHERE_BYTES], input[AE_WHERE_BYTES];
    snprintf(place, sizeof place, "%s: %s", s->where, s->m->keys[AE_RECORD_INSTANCES]);
    if (!json_is_array(list)) return unexpected(place, "a list of one object with input and output", list);
    if (json_array_size(list) != 1)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected one object with input and output, found %zu; write a line for each",
                       place, json_array_size(list));
    if (!json_is_object(one)) return unexpected(place, "an object with input and output in the list", one);
    const json_t *in = json_object_get(one, s->m->keys[AE_RECORD_INPUT]);
    snprintf(input, sizeof input, "%s: %s[0].%s", s->where, s->m->keys[AE_RECORD_INSTANCES],
             s->m->keys[AE_RECORD_INPUT]);
    const ae_status st = add_task(d, s, json_is_null(in) ? NULL : in, input);
    if (st != AE_OK) return st;
    snprintf(input, sizeof input, "%s: %s[0].%s", s->where, s->m->keys[AE_RECORD_INSTANCES],
             s->m->keys[AE_RECORD_OUTPUT]);
    return add_text(d, AE_ROLE_MODEL, json_object_get(one, s->m->keys[AE_RECORD_OUTPUT]), input);
}

static ae_status chat_instruction(ae_dialogue *d, source *s) {
    char place[AE_WHERE_BYTES];
    ae_status st = add_system(d, s);
    if (st != AE_OK) return st;
    if (get(s, AE_RECORD_INSTANCES)) return chat_instances(d, s);
    snprintf(place, sizeof place, "%s: %s", s->where, s->m->keys[AE_RECORD_INPUT]);
    st = add_task(d, s, get(s, AE_RECORD_INPUT), place);
    if (st != AE_OK) return st;
    return add_text(d, AE_ROLE_MODEL, get(s, AE_RECORD_OUTPUT), at(s, AE_RECORD_OUTPUT));
}

static ae_status chat_text(ae_dialogue *d, source *s) {
    const json_t *v = get(s, AE_RECORD_TEXT);
    const char *place = at(s, AE_RECORD_TEXT);
    if (ae_is_spelled_dialogue(v)) return ae_read_spelled(d, v, true, false, place);
    return unexpected(place, "turns that begin with \"\\n\\nHuman:\" and \"\\n\\nAssistant:\"", v);
}

/* The first of its two fields makes a layout known, or the second where a row has nothing but that. */
static const struct {
    ae_record_key first, second;
    ae_status (*read)(ae_dialogue *d, source *s);
} layouts[] = {
    {AE_RECORD_MESSAGES, AE_RECORD_MESSAGES, chat_messages},
    {AE_RECORD_CONVERSATIONS, AE_RECORD_CONVERSATIONS, chat_conversations},
    {AE_RECORD_PROMPT, AE_RECORD_COMPLETION, chat_completion},
    {AE_RECORD_INSTRUCTION, AE_RECORD_OUTPUT, chat_instruction},
    {AE_RECORD_TEXT, AE_RECORD_TEXT, chat_text},
};

static ae_status read_chat(ae_dialogue *d, source *s) {
    for (size_t i = 0; i < COUNT(layouts); i++)
        if (s->m->mapped[layouts[i].first] || s->m->mapped[layouts[i].second]) return layouts[i].read(d, s);
    for (size_t i = 0; i < COUNT(layouts); i++)
        if (get(s, layouts[i].first) || get(s, layouts[i].second)) return layouts[i].read(d, s);
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected messages, conversations, prompt and completion, instruction and output, text in "
        "turns, or tokens, found none of these keys; --map FIELD=KEY names them otherwise, --kind pairs "
        "and --kind prompts read other rows",
        s->where);
}

ae_status ae_chat_parse(ae_dialogue *d, const json_t *row, const ae_record_map *m, const char *where) {
    source s = {.row = row, .m = m, .where = where};
    *d = (ae_dialogue){0};
    ae_status st = read_chat(d, &s);
    if (st == AE_OK && ae_dialogue_answered(d) == 0)
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected an answer of the model, found %s", where,
                     d->n == 0                                 ? "no messages with text"
                     : d->items[d->n - 1].role == AE_ROLE_USER ? "none"
                                                               : "only a system message");
    if (st != AE_OK) ae_dialogue_free(d);
    return st;
}

/* ---- prompts ---- */

static bool is_answered(const ae_dialogue *d) {
    return d->n && d->items[d->n - 1].role == AE_ROLE_MODEL;
}

ae_status ae_prompt_parse(ae_dialogue *d, const json_t *row, const ae_record_map *m, const char *where) {
    source s = {.row = row, .m = m, .where = where};
    const bool listed =
        !get(&s, AE_RECORD_PROMPT) && !m->mapped[AE_RECORD_PROMPT] && get(&s, AE_RECORD_MESSAGES);
    *d = (ae_dialogue){0};
    ae_status st = listed ? chat_messages(d, &s) : add_prompt(d, &s);
    const char *place = at(&s, listed ? AE_RECORD_MESSAGES : AE_RECORD_PROMPT);
    if (st == AE_OK && is_answered(d))
        st = AE_FAIL(AE_ERR_INPUT,
                     "%s: expected a turn of the user last, found an answer; leave it out: the model answers",
                     place);
    if (st == AE_OK) st = expect_user_last(d, place);
    if (st != AE_OK) ae_dialogue_free(d);
    return st;
}

/* ---- pairs ---- */

/* Whether a side holds the prompt too. */
static bool is_whole(const json_t *v) {
    if (json_is_array(v)) {
        const char *role = json_string_value(json_object_get(json_array_get(v, 0), "role"));
        return role && (strcmp(role, "user") == 0 || strcmp(role, "system") == 0);
    }
    return ae_is_spelled_dialogue(v);
}

static ae_status read_side(ae_dialogue *d, source *s, ae_record_key field) {
    const json_t *v = get(s, field);
    ae_status st;
    if (!v) return unexpected(at(s, field), "text or a list of messages", v);
    if (is_whole(v)) {
        const char *place = at(s, field);
        return json_is_array(v) ? ae_read_messages(d, v, true, place)
                                : ae_read_spelled(d, v, true, false, place);
    }
    if (!get(s, AE_RECORD_PROMPT))
        return unexpected(at(s, AE_RECORD_PROMPT),
                          "text or a list of messages, since the answers are without one", NULL);
    AE_TRY(add_prompt(d, s));
    AE_TRY(expect_user_last(d, at(s, AE_RECORD_PROMPT)));
    AE_TRY(add_side(d, AE_ROLE_MODEL, v, true, at(s, field)));
out:
    return st;
}

static bool same_message(const ae_message *a, const ae_message *b) {
    return a->role == b->role && a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

/* The answers are what differs, and nothing else does. */
static ae_status check_sides(const ae_pair *p, const char *where) {
    const ae_dialogue *a = &p->chosen, *b = &p->rejected;
    const ptrdiff_t least = a->n < b->n ? a->n : b->n;
    ptrdiff_t same = 0;
    while (same < least && same_message(&a->items[same], &b->items[same])) same++;
    if (same == a->n && same == b->n)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected chosen and rejected to differ, found the same", where);
    if (same == a->n - 1 && same == b->n - 1 && a->items[same].role == AE_ROLE_MODEL &&
        b->items[same].role == AE_ROLE_MODEL)
        return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected chosen and rejected to be alike but for one answer at their end, found them differ "
        "from turn %td on, of %td and %td turns",
        where, same + 1, a->n, b->n);
}

/* Beside whole dialogues the prompt must be one of their turns. */
static ae_status check_prompt(const ae_pair *p, source *s) {
    const json_t *v = get(s, AE_RECORD_PROMPT);
    if (!json_is_string(v) || !is_whole(get(s, AE_RECORD_CHOSEN)) || ae_is_spelled_dialogue(v)) return AE_OK;
    const char *text = json_string_value(v);
    size_t n = json_string_length(v);
    ae_text_trim(&text, &n);
    for (ptrdiff_t i = 0; i < p->chosen.n - 1; i++) {
        const ae_message *m = &p->chosen.items[i];
        if (m->role == AE_ROLE_USER && m->n == n && memcmp(m->text, text, n) == 0) return AE_OK;
    }
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a turn of the user that chosen holds too, found another text",
                   at(s, AE_RECORD_PROMPT));
}

ae_status ae_pair_margin(const json_t *row, const ae_record_map *m, const char *where, bool *given,
                         double *margin) {
    source s = {.row = row, .m = m, .where = where};
    const json_t *v = get(&s, AE_RECORD_MARGIN);
    *given = v != NULL;
    if (!v) return AE_OK;
    if (!json_is_number(v)) return unexpected(at(&s, AE_RECORD_MARGIN), "a number", v);
    *margin = json_number_value(v);
    if (fabs(*margin) <= (double)FLT_MAX) return AE_OK;
    return AE_FAIL(AE_ERR_INPUT, "%s: expected a number that float32 holds, found %g",
                   at(&s, AE_RECORD_MARGIN), *margin);
}

ae_status ae_pair_parse(ae_pair *p, const json_t *row, const ae_record_map *m, const char *where) {
    source s = {.row = row, .m = m, .where = where};
    ae_status st;
    *p = (ae_pair){0};
    AE_TRY(read_side(&p->chosen, &s, AE_RECORD_CHOSEN));
    AE_TRY(read_side(&p->rejected, &s, AE_RECORD_REJECTED));
    AE_TRY(check_sides(p, where));
    AE_TRY(check_prompt(p, &s));
    AE_TRY(ae_pair_margin(row, m, where, &p->has_margin, &p->margin));
out:
    if (st != AE_OK) ae_pair_free(p);
    return st;
}

void ae_pair_free(ae_pair *p) {
    ae_dialogue_free(&p->chosen);
    ae_dialogue_free(&p->rejected);
    *p = (ae_pair){0};
}
