#include "data/dialogue.h"

#include "core/file.h"
#include "data/dialogue_read.h"
#include "data/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ae_role_name(ae_role role) {
    static const char *const names[] = {"system", "user", "model"};
    return names[role];
}

void ae_dialogue_free(ae_dialogue *d) {
    for (ptrdiff_t i = 0; i < d->n; i++) free(d->items[i].text);
    free(d->items);
    *d = (ae_dialogue){0};
}

static ae_status check_turn(const ae_dialogue *d, ae_role role, const char *where) {
    const ae_message *last = d->n ? &d->items[d->n - 1] : NULL;
    const ae_role due = last && last->role == AE_ROLE_USER ? AE_ROLE_MODEL : AE_ROLE_USER;
    if (role == due || (!last && role == AE_ROLE_SYSTEM)) return AE_OK;
    return AE_FAIL(
        AE_ERR_INPUT,
        "%s: expected a turn of the %s, found one of the %s; turns of user and model alternate, the user "
        "first, after at most one system message",
        where, ae_role_name(due), ae_role_name(role));
}

static ae_status reserve(ae_dialogue *d, const char *where) {
    if (d->n < d->capacity) return AE_OK;
    const ptrdiff_t capacity = 2 * d->capacity + 4;
    ae_message *items = realloc(d->items, (size_t)capacity * sizeof *items);
    if (!items) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory for %td turns", where, capacity);
    d->items = items;
    d->capacity = capacity;
    return AE_OK;
}

ae_status ae_dialogue_add(ae_dialogue *d, ae_role role, bool counts, const char *text, size_t n,
                          const char *where) {
    ae_status st = check_turn(d, role, where);
    if (st != AE_OK) return st;
    ae_text_trim(&text, &n);
    if (n == 0 && role == AE_ROLE_SYSTEM) return AE_OK;
    if (n == 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected text of the %s, found none", where, ae_role_name(role));
    st = reserve(d, where);
    if (st != AE_OK) return st;
    char *copy = malloc(n + 1);
    if (!copy) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory for %zu bytes", where, n);
    memcpy(copy, text, n);
    copy[n] = '\0';
    d->items[d->n++] = (ae_message){role, role == AE_ROLE_MODEL && counts, copy, n};
    return AE_OK;
}

ptrdiff_t ae_dialogue_answered(const ae_dialogue *d) {
    ptrdiff_t n = d->n;
    while (n > 0 && d->items[n - 1].role != AE_ROLE_MODEL) n--;
    return n;
}

/* ---- lists of messages ---- */

typedef struct {
    const char *name;
    ae_role role;
} role_word;

/* How one layout writes its messages. */
typedef struct {
    const char *role_key, *text_key;
    const role_word *words;
    size_t n_words;
    const char *expected; /* the words, for messages */
} spelling;

static const role_word message_roles[] = {{"system", AE_ROLE_SYSTEM},
                                          {"user", AE_ROLE_USER},
                                          {"assistant", AE_ROLE_MODEL},
                                          {"model", AE_ROLE_MODEL}};
static const spelling messages = {"role", "content", message_roles, 4, "system, user, assistant or model"};

static const role_word share_roles[] = {{"system", AE_ROLE_SYSTEM},   {"human", AE_ROLE_USER},
                                        {"user", AE_ROLE_USER},       {"gpt", AE_ROLE_MODEL},
                                        {"assistant", AE_ROLE_MODEL}, {"model", AE_ROLE_MODEL}};
static const spelling share = {"from", "value", share_roles, 6, "system, human or gpt"};

/* The same words under the names that messages have. */
static const spelling share_as_messages = {"role", "content", share_roles, 6, "system, user or assistant"};

static const spelling *spelling_of(const json_t *message, const spelling *s) {
    return s == &share && !json_object_get(message, "from") && json_object_get(message, "role")
               ? &share_as_messages
               : s;
}

static ae_status read_role(ae_role *role, const json_t *message, const spelling *s, const char *where) {
    const json_t *v = json_object_get(message, s->role_key);
    if (!json_is_string(v))
        return AE_FAIL(AE_ERR_INPUT, "%s.%s: expected %s, found %s", where, s->role_key, s->expected,
                       ae_json_type_name(v));
    for (size_t i = 0; i < s->n_words; i++)
        if (strcmp(json_string_value(v), s->words[i].name) == 0) {
            *role = s->words[i].role;
            return AE_OK;
        }
    return AE_FAIL(AE_ERR_INPUT, "%s.%s: expected %s, found '%.40s'", where, s->role_key, s->expected,
                   json_string_value(v));
}

static ae_status read_weight(bool *counts, const json_t *message, const char *where) {
    const json_t *v = json_object_get(message, "weight");
    if (!v || json_is_null(v)) return AE_OK;
    if (json_is_real(v))
        return AE_FAIL(AE_ERR_INPUT, "%s.weight: expected 0 or 1, found %g", where, json_real_value(v));
    if (!json_is_integer(v))
        return AE_FAIL(AE_ERR_INPUT, "%s.weight: expected 0 or 1, found %s", where, ae_json_type_name(v));
    const json_int_t weight = json_integer_value(v);
    if (weight != 0 && weight != 1)
        return AE_FAIL(AE_ERR_INPUT, "%s.weight: expected 0 or 1, found %lld", where, (long long)weight);
    *counts = *counts && weight == 1;
    return AE_OK;
}

static ae_status read_message(ae_dialogue *d, const json_t *message, const spelling *s, bool counts,
                              const char *where) {
    ae_role role;
    if (!json_is_object(message))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected an object with %s and %s, found %s", where, s->role_key,
                       s->text_key, ae_json_type_name(message));
    ae_status st = read_role(&role, message, s, where);
    if (st == AE_OK) st = read_weight(&counts, message, where);
    if (st != AE_OK) return st;
    const json_t *text = json_object_get(message, s->text_key);
    if (!json_is_string(text))
        return AE_FAIL(AE_ERR_INPUT, "%s.%s: expected text, found %s", where, s->text_key,
                       ae_json_type_name(text));
    return ae_dialogue_add(d, role, counts, json_string_value(text), json_string_length(text), where);
}

static ae_status read_list(ae_dialogue *d, const json_t *list, const spelling *s, bool counts,
                           const char *where) {
    char place[AE_WHERE_BYTES];
    ae_status st = AE_OK;
    if (!json_is_array(list))
        return AE_FAIL(AE_ERR_INPUT, "%s: expected a list of messages, found %s", where,
                       ae_json_type_name(list));
    if (json_array_size(list) == 0)
        return AE_FAIL(AE_ERR_INPUT, "%s: expected messages, found an empty list", where);
    for (size_t i = 0; i < json_array_size(list) && st == AE_OK; i++) {
        snprintf(place, sizeof place, "%s[%zu]", where, i);
        const json_t *message = json_array_get(list, i);
        st = read_message(d, message, spelling_of(message, s), counts, place);
    }
    return st;
}

ae_status ae_read_messages(ae_dialogue *d, const json_t *list, bool counts, const char *where) {
    return read_list(d, list, &messages, counts, where);
}

ae_status ae_read_conversations(ae_dialogue *d, const json_t *list, const char *where) {
    return read_list(d, list, &share, true, where);
}

/* ---- dialogues in one text ---- */

static const char human[] = "\n\nHuman:", assistant[] = "\n\nAssistant:";

static bool begins(const char *s, const char *end, const char *word) {
    const size_t n = strlen(word);
    return (size_t)(end - s) >= n && memcmp(s, word, n) == 0;
}

bool ae_is_spelled_dialogue(const json_t *value) {
    if (!json_is_string(value)) return false;
    const char *s = json_string_value(value);
    return begins(s, s + json_string_length(value), human);
}

/* Where the next turn begins, or the end. */
static const char *next_turn(const char *s, const char *end) {
    while ((s = memmem(s, (size_t)(end - s), "\n\n", 2)) != NULL) {
        if (begins(s, end, human) || begins(s, end, assistant)) return s;
        s++;
    }
    return end;
}

ae_status ae_read_spelled(ae_dialogue *d, const json_t *text, bool counts, bool open, const char *where) {
    const char *s = json_string_value(text), *end = s + json_string_length(text);
    char place[AE_WHERE_BYTES];
    ae_status st = AE_OK;
    for (int turn = 1; s < end && st == AE_OK; turn++) {
        const bool user = begins(s, end, human);
        const char *from = s + strlen(user ? human : assistant), *to = next_turn(from, end);
        size_t n = (size_t)(to - from);
        s = to;
        ae_text_trim(&from, &n);
        if (open && !user && n == 0 && to == end) break;
        snprintf(place, sizeof place, "%s: turn %d", where, turn);
        st = ae_dialogue_add(d, user ? AE_ROLE_USER : AE_ROLE_MODEL, counts, from, n, place);
    }
    return st;
}
