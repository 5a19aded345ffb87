#include "data/row_keys.h"

#include "core/config.h"
#include "core/file.h"
#include "core/log.h"
#include "data/json_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

static bool is_one_of(const char *name, const char *const *words, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, words[i]) == 0) return true;
    return false;
}

bool ae_is_note_key(const char *name) {
    static const char *const notes[] = {"meta", "metadata", "source", "kind", "kinds", "fault", "rewards"};
    const size_t n = strlen(name);
    return name[0] == '_' || (n >= 2 && strcmp(name + n - 2, "id") == 0) ||
           is_one_of(name, notes, COUNT(notes));
}

/* The keys that rows of a kind may have, as the file names them. */
typedef struct {
    const char *names[AE_RECORD_KEYS];
    size_t n;
} key_list;

static bool is_unknown(const char *name, const key_list *known) {
    return !is_one_of(name, known->names, known->n) && !ae_is_note_key(name);
}

/* ---- what nothing reads ---- */

static void tell(const char *name, const char *const *known, size_t n, const char *of, const char *where) {
    const char *near = ae_nearest_word(name, known, n);
    ae_warn("%s: \"%s\" is no key of %s%s%s; it has no effect, here and in other lines", where, name, of,
            near ? ", did you mean " : "", near ? near : "");
}

static bool tell_of_row(ae_data_kind kind, const key_list *known, const char *line, size_t n,
                        const char *where) {
    const char *at = NULL, *name;
    char of[40];
    size_t bytes;
    bool told = false;
    snprintf(of, sizeof of, "rows of %s", ae_data_kind_name(kind));
    while (!told && (name = ae_json_line_name(line, n, &at, &bytes)) != NULL) {
        char *word = strndup(name, bytes);
        told = word && is_unknown(word, known);
        if (told) tell(word, known->names, known->n, of, where);
        free(word);
    }
    return told;
}

static bool tell_of_messages(const json_t *list, const char *where) {
    static const char *const known[] = {"role", "content", "weight", "from", "value"};
    char place[AE_WHERE_BYTES + 24];
    for (size_t i = 0; i < json_array_size(list); i++) {
        void *message = json_array_get(list, i);
        for (void *at = json_object_iter(message); at; at = json_object_iter_next(message, at)) {
            const char *name = json_object_iter_key(at);
            if (is_one_of(name, known, COUNT(known)) || ae_is_note_key(name)) continue;
            snprintf(place, sizeof place, "%s[%zu]", where, i);
            tell(name, known, COUNT(known), "messages", place);
            return true;
        }
    }
    return false;
}

bool ae_row_keys_tell(const json_t *row, ae_data_kind kind, const ae_record_map *m, const char *line,
                      size_t n, const char *where) {
    static const ae_record_key lists[] = {AE_RECORD_MESSAGES,   AE_RECORD_CONVERSATIONS, AE_RECORD_PROMPT,
                                          AE_RECORD_COMPLETION, AE_RECORD_CHOSEN,        AE_RECORD_REJECTED};
    char place[AE_WHERE_BYTES];
    key_list known = {.n = 0};
    known.n = ae_record_keys_of(kind, m, known.names);
    if (tell_of_row(kind, &known, line, n, where)) return true;
    for (size_t i = 0; i < COUNT(lists); i++) {
        const char *key = m->keys[lists[i]];
        snprintf(place, sizeof place, "%s: %s", where, key);
        if (tell_of_messages(json_object_get(row, key), place)) return true;
    }
    return false;
}

/* ---- what a fault may come from ---- */

static bool has_name(const char *line, size_t n, const char *key) {
    const char *at = NULL, *name;
    size_t bytes;
    while ((name = ae_json_line_name(line, n, &at, &bytes)) != NULL)
        if (bytes == strlen(key) && memcmp(name, key, bytes) == 0) return true;
    return false;
}

static void add(const char *hint) {
    ae_fail_at(__FILE__, __LINE__, "%s; %s", ae_error_message(), hint);
}

/* What the row is when it is of another kind, or NULL. */
static const char *other_kind(ae_data_kind kind, const ae_record_map *m, const char *line, size_t n) {
    static const char *const answers[] = {"messages", "conversations", "completion", "output"};
    const bool chosen = has_name(line, n, "chosen"), rejected = has_name(line, n, "rejected");
    bool answered = false;
    if (m->text) return NULL; /* the names may mean something else */
    for (size_t i = 0; i < COUNT(answers); i++) answered |= has_name(line, n, answers[i]);
    if (kind == AE_KIND_CHAT && chosen && rejected && !answered)
        return "this row has chosen and rejected, which --kind pairs and `aerie reward` read";
    if (kind == AE_KIND_PAIRS && !chosen && !rejected && answered)
        return "this row is a dialogue, which --kind chat and `aerie sft` read";
    return NULL;
}

/* Whether `value` begins with the colon before a text. */
static bool is_text(const char *value) {
    value += strspn(value, " \t");
    if (*value++ != ':') return false;
    return value[strspn(value, " \t")] == '"';
}

/* The one unknown key of the row that holds text, in the caller's memory; NULL: there is none, or several. */
static char *only_unknown_text(const key_list *known, const char *line, size_t n) {
    const char *at = NULL, *name;
    char *only = NULL;
    size_t bytes, found = 0;
    while ((name = ae_json_line_name(line, n, &at, &bytes)) != NULL) {
        char *word = strndup(name, bytes);
        if (word && is_unknown(word, known) && is_text(name + bytes + 1) && found++ == 0)
            only = word;
        else
            free(word);
    }
    if (found == 1) return only;
    free(only);
    return NULL;
}

/* The field of a layout that is missing where its other one is there, or NULL. */
static const char *missing_field(const json_t *row, ae_data_kind kind, const ae_record_map *m) {
    static const struct {
        ae_data_kind kind;
        ae_record_key fields[2];
        const char *names[2];
    } couples[] = {
        {AE_KIND_CHAT, {AE_RECORD_PROMPT, AE_RECORD_COMPLETION}, {"prompt", "completion"}},
        {AE_KIND_CHAT, {AE_RECORD_INSTRUCTION, AE_RECORD_OUTPUT}, {"instruction", "output"}},
        {AE_KIND_PAIRS, {AE_RECORD_CHOSEN, AE_RECORD_REJECTED}, {"chosen", "rejected"}},
    };
    for (size_t i = 0; i < COUNT(couples); i++) {
        const bool first = ae_record_get(row, m, couples[i].fields[0]) != NULL;
        const bool second = ae_record_get(row, m, couples[i].fields[1]) != NULL;
        if (couples[i].kind == kind && first != second) return couples[i].names[first];
    }
    return NULL;
}

static void hint_of_map(const char *field, const char *key) {
    char hint[320];
    if (strlen(key) > 80 || strpbrk(key, ",=\\")) return;
    snprintf(hint, sizeof hint, "--map %s=%s (in training data.map: %s=%s) takes \"%s\" for it", field, key,
             field, key, key);
    add(hint);
}

void ae_row_keys_hint(const json_t *row, ae_data_kind kind, const ae_record_map *m, const char *line,
                      size_t n) {
    const char *other = other_kind(kind, m, line, n), *field = missing_field(row, kind, m);
    key_list known = {.n = 0};
    if (other) add(other);
    if (other || !field) return;
    known.n = ae_record_keys_of(kind, m, known.names);
    char *key = only_unknown_text(&known, line, n);
    if (key) hint_of_map(field, key);
    free(key);
}
