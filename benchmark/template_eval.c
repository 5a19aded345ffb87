#include "benchmark/template_parts.h"
#include "benchmark/words.h"
#include "core/config.h"
#include "core/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is bound inside a comprehension: the innermost first. */
typedef struct binding {
    const struct binding *outer;
    const char *name;
    const json_t *value;
} binding;

typedef struct {
    const ae_template_scope *scope;
    const binding *inner;
    size_t n_lets; /* that are seen: inside a let those before it */
} context;

static ae_status eval(json_t **out, const ae_template *t, context c);

static ae_status result(json_t **out, json_t *value, const char *where) {
    *out = value;
    return value != NULL ? AE_OK : ae_template_no_memory(where);
}

char *ae_value_text(const json_t *x) {
    char text[AE_NUMBER_BYTES];
    switch (json_typeof(x)) {
    case JSON_STRING:
        return strdup(json_string_value(x));
    case JSON_INTEGER:
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(x));
        return strdup(text);
    case JSON_REAL:
        ae_words_number(text, json_real_value(x));
        return strdup(text);
    case JSON_TRUE:
        return strdup("True");
    case JSON_FALSE:
        return strdup("False");
    default:
        return NULL;
    }
}

static bool has_text(const json_t *x) {
    return !json_is_array(x) && !json_is_object(x) && !json_is_null(x);
}

static bool is_true(const json_t *x) {
    switch (json_typeof(x)) {
    case JSON_STRING:
        return json_string_length(x) > 0;
    case JSON_INTEGER:
    case JSON_REAL:
        return json_number_value(x) != 0;
    case JSON_ARRAY:
        return json_array_size(x) > 0;
    case JSON_OBJECT:
        return json_object_size(x) > 0;
    default:
        return json_is_true(x);
    }
}

/* 1, 1.0 and true are different values, but for whole and real numbers of one amount. */
static bool is_equal(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

/* The field's names in a row, for the message. */
static ae_status no_field(const char *name, const ae_template_scope *scope) {
    const char *words[64], *key;
    size_t n = 0;
    json_t *value;
    json_object_foreach((json_t *)scope->row, key, value) {
        (void)value;
        if (n < 64) words[n++] = key;
    }
    const char *near = ae_nearest_word(name, words, n);
    char found[256] = "";
    for (size_t i = 0, used = 0; i < n && used < sizeof found - 32; i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%.24s", i == 0 ? "" : ", ", words[i]);
    return AE_FAIL(AE_ERR_INPUT, "%s: expected field %s, found %s%s%s%s", scope->where, name,
                   n > 0 ? found : "none", near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* A let does not see what is bound where it is used, so its value is one for the row. */
static ae_status eval_let(json_t **out, size_t i, const ae_template_scope *scope) {
    const ae_let *let = &scope->lets[i];
    *out = json_incref(json_object_get(scope->computed, let->name));
    if (*out != NULL) return AE_OK;
    ae_status st = eval(out, let->value, (context){scope, NULL, i});
    if (st == AE_OK && scope->computed != NULL && json_object_set(scope->computed, let->name, *out) != 0)
        st = ae_template_no_memory(scope->where);
    return st;
}

/* *out is NULL when no such name is there. */
static ae_status find_name(json_t **out, const char *name, context c) {
    *out = NULL;
    for (const binding *b = c.inner; b != NULL; b = b->outer) {
        if (strcmp(b->name, name) != 0) continue;
        *out = json_incref((json_t *)b->value);
        return AE_OK;
    }
    for (size_t i = 0; i < c.n_lets; i++)
        if (strcmp(c.scope->lets[i].name, name) == 0) return eval_let(out, i, c.scope);
    json_t *found = json_object_get(c.scope->row, name);
    if (found == NULL) found = json_object_get(c.scope->more, name);
    *out = json_incref(found);
    return AE_OK;
}

static ae_status eval_name(json_t **out, const ae_template *t, context c) {
    ae_status st = find_name(out, t->name, c);
    return st != AE_OK || *out != NULL ? st : no_field(t->name, c.scope);
}

/* The member, borrowed from x; NULL: there is none. */
static json_t *member(const json_t *x, const json_t *key) {
    if (json_is_object(x) && json_is_string(key)) return json_object_get(x, json_string_value(key));
    if (!json_is_array(x) || !json_is_integer(key)) return NULL;
    json_int_t i = json_integer_value(key);
    if (i < 0) i += (json_int_t)json_array_size(x);
    return i < 0 ? NULL : json_array_get(x, (size_t)i);
}

static ae_status no_member(const ae_template *t, const json_t *x, const json_t *key, const char *where) {
    char *word = ae_value_text(key);
    const char *of = t->items[0]->name != NULL ? t->items[0]->name : "a value";
    ae_status st;
    if (json_is_array(x))
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected entry %s of %s, found a list of %zu", where,
                     word ? word : "", of, json_array_size(x));
    else
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected field %s in %s, found %s", where, word ? word : "", of,
                     json_is_object(x) ? "no such field" : ae_json_type_name(x));
    free(word);
    return st;
}

static ae_status eval_member(json_t **out, const ae_template *t, context c) {
    json_t *x = NULL, *key = NULL;
    ae_status st;
    AE_TRY(eval(&x, t->items[0], c));
    AE_TRY(eval(&key, t->items[1], c));
    *out = json_incref(member(x, key));
    if (*out == NULL) st = no_member(t, x, key, c.scope->where);
out:
    json_decref(x);
    json_decref(key);
    return st;
}

/* A name or a path of members that leads to something other than null. */
static ae_status eval_defined(json_t **out, const ae_template *path, context c) {
    json_t *x = NULL, *key = NULL, *there = NULL;
    ae_status st;
    if (path->kind == AE_NODE_NAME) {
        st = find_name(out, path->name, c);
        return st;
    }
    if (path->kind != AE_NODE_MEMBER) return eval(out, path, c);
    AE_TRY(eval_defined(&x, path->items[0], c));
    if (x == NULL) goto out;
    AE_TRY(eval(&key, path->items[1], c));
    there = member(x, key);
    *out = json_incref(there);
out:
    json_decref(x);
    json_decref(key);
    return st;
}

static ae_status eval_is_defined(json_t **out, const ae_template *t, context c) {
    json_t *found = NULL;
    ae_status st = eval_defined(&found, t->items[0], c);
    if (st == AE_OK) *out = json_boolean(found != NULL && !json_is_null(found));
    json_decref(found);
    return st;
}

static ae_status eval_filter(json_t **out, const ae_template *t, context c) {
    json_t *x = NULL, *arguments[AE_FILTER_ARGUMENTS_MAX] = {NULL};
    ae_status st;
    AE_TRY(eval(&x, t->items[0], c));
    for (size_t i = 1; i < t->n_items; i++) AE_TRY(eval(&arguments[i - 1], t->items[i], c));
    st = t->filter->apply(out, x, arguments, c.scope->where);
out:
    json_decref(x);
    for (size_t i = 0; i < AE_FILTER_ARGUMENTS_MAX; i++) json_decref(arguments[i]);
    return st;
}

static json_t *joined_lists(const json_t *a, const json_t *b) {
    json_t *both = json_array();
    if (both != NULL &&
        (json_array_extend(both, (json_t *)a) != 0 || json_array_extend(both, (json_t *)b) != 0)) {
        json_decref(both);
        return NULL;
    }
    return both;
}

static json_t *joined_texts(const json_t *a, const json_t *b) {
    char *left = ae_value_text(a), *right = ae_value_text(b);
    json_t *both = left != NULL && right != NULL ? json_sprintf("%s%s", left, right) : NULL;
    free(left);
    free(right);
    return both;
}

static ae_status kinds_differ(const char *what, const json_t *a, const json_t *b, const char *where) {
    return AE_FAIL(AE_ERR_INPUT, "%s: expected %s, found %s and %s", where, what, ae_json_type_name(a),
                   ae_json_type_name(b));
}

/* Numbers are added, lists and texts joined. */
static ae_status add(json_t **out, const json_t *a, const json_t *b, int sign, const char *where) {
    if (json_is_integer(a) && json_is_integer(b))
        return result(
            out,
            json_integer((json_int_t)((unsigned long long)json_integer_value(a) +
                                      (unsigned long long)sign * (unsigned long long)json_integer_value(b))),
            where);
    if (json_is_number(a) && json_is_number(b)) {
        const double sum = json_number_value(a) + sign * json_number_value(b);
        if (!isfinite(sum)) return AE_FAIL(AE_ERR_INPUT, "%s: expected a finite sum, found none", where);
        return result(out, json_real(sum), where);
    }
    if (sign > 0 && json_is_array(a) && json_is_array(b)) return result(out, joined_lists(a, b), where);
    if (sign > 0 && has_text(a) && has_text(b)) return result(out, joined_texts(a, b), where);
    return kinds_differ(sign > 0 ? "two numbers, texts or lists" : "two numbers", a, b, where);
}

static ae_status compare(json_t **out, const json_t *a, const json_t *b, ae_operator op, const char *where) {
    double order;
    if (json_is_number(a) && json_is_number(b))
        order = json_number_value(a) - json_number_value(b);
    else if (json_is_string(a) && json_is_string(b))
        order = strcmp(json_string_value(a), json_string_value(b));
    else
        return kinds_differ("two numbers or two texts", a, b, where);
    *out = json_boolean(op == AE_OP_LESS         ? order < 0
                        : op == AE_OP_LESS_EQUAL ? order <= 0
                        : op == AE_OP_GREATER    ? order > 0
                                                 : order >= 0);
    return AE_OK;
}

static ae_status contains(bool *yes, const json_t *x, const json_t *in, const char *where) {
    *yes = false;
    if (json_is_string(x) && json_is_string(in)) {
        *yes = strstr(json_string_value(in), json_string_value(x)) != NULL;
    } else if (json_is_array(in)) {
        for (size_t i = 0; i < json_array_size(in) && !*yes; i++) *yes = is_equal(json_array_get(in, i), x);
    } else if (json_is_object(in) && json_is_string(x)) {
        *yes = json_object_get(in, json_string_value(x)) != NULL;
    } else {
        return kinds_differ("something in a list or a text", x, in, where);
    }
    return AE_OK;
}

static ae_status operate(json_t **out, ae_operator op, const json_t *a, const json_t *b, const char *where) {
    bool yes = false;
    switch (op) {
    case AE_OP_PLUS:
        return add(out, a, b, 1, where);
    case AE_OP_MINUS:
        return add(out, a, b, -1, where);
    case AE_OP_EQUAL:
    case AE_OP_UNEQUAL:
        *out = json_boolean(is_equal(a, b) == (op == AE_OP_EQUAL));
        return AE_OK;
    case AE_OP_IN:
    case AE_OP_NOT_IN: {
        ae_status st = contains(&yes, a, b, where);
        if (st == AE_OK) *out = json_boolean(yes == (op == AE_OP_IN));
        return st;
    }
    default:
        return compare(out, a, b, op, where);
    }
}

/* `or` and `and` look at their right side only where the left one leaves the question open. */
static ae_status eval_operator(json_t **out, const ae_template *t, context c) {
    json_t *a = NULL, *b = NULL;
    ae_status st;
    AE_TRY(eval(&a, t->items[0], c));
    if ((t->op == AE_OP_OR && is_true(a)) || (t->op == AE_OP_AND && !is_true(a))) {
        *out = json_incref(a);
        goto out;
    }
    AE_TRY(eval(&b, t->items[1], c));
    if (t->op == AE_OP_OR || t->op == AE_OP_AND)
        *out = json_incref(b);
    else
        st = operate(out, t->op, a, b, c.scope->where);
out:
    json_decref(a);
    json_decref(b);
    return st;
}

static ae_status eval_truth(bool *yes, const ae_template *t, context c) {
    json_t *x = NULL;
    ae_status st = eval(&x, t, c);
    if (st == AE_OK) *yes = is_true(x);
    json_decref(x);
    return st;
}

static ae_status append(json_t *list, json_t *value, const char *where) {
    return json_array_append_new(list, value) == 0 ? AE_OK : ae_template_no_memory(where);
}

static ae_status eval_list(json_t **out, const ae_template *t, context c) {
    ae_status st = result(out, json_array(), c.scope->where);
    for (size_t i = 0; i < t->n_items && st == AE_OK; i++) {
        json_t *item = NULL;
        st = eval(&item, t->items[i], c);
        if (st == AE_OK) st = append(*out, item, c.scope->where);
    }
    return st;
}

static ae_status eval_comprehension(json_t **out, const ae_template *t, context c) {
    json_t *list = NULL;
    ae_status st;
    AE_TRY(eval(&list, t->items[1], c));
    if (!json_is_array(list)) {
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected a list after in, found %s", c.scope->where,
                     ae_json_type_name(list));
        goto out;
    }
    AE_TRY(result(out, json_array(), c.scope->where));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const binding item = {c.inner, t->name, json_array_get(list, i)};
        const context inside = {c.scope, &item, c.n_lets};
        bool kept = true;
        json_t *value = NULL;
        if (t->n_items > 2) AE_TRY(eval_truth(&kept, t->items[2], inside));
        if (!kept) continue;
        AE_TRY(eval(&value, t->items[0], inside));
        AE_TRY(append(*out, value, c.scope->where));
    }
out:
    json_decref(list);
    return st;
}

/* Each item as text, into one; what is no text has a name in the message where it is a field. */
static ae_status eval_text(json_t **out, const ae_template *t, context c) {
    char *whole = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&whole, &size);
    if (f == NULL) return ae_template_no_memory(c.scope->where);
    ae_status st = AE_OK;
    for (size_t i = 0; i < t->n_items && st == AE_OK; i++) {
        json_t *value = NULL;
        st = eval(&value, t->items[i], c);
        char *text = st == AE_OK && has_text(value) ? ae_value_text(value) : NULL;
        if (text != NULL)
            fputs(text, f);
        else if (st == AE_OK)
            st = has_text(value) ? ae_template_no_memory(c.scope->where)
                                 : AE_FAIL(AE_ERR_INPUT, "%s: %s%sexpected text, found %s", c.scope->where,
                                           t->items[i]->name ? t->items[i]->name : "",
                                           t->items[i]->name ? ": " : "", ae_json_type_name(value));
        free(text);
        json_decref(value);
    }
    if (fclose(f) != 0 && st == AE_OK) st = ae_template_no_memory(c.scope->where);
    if (st == AE_OK) st = result(out, json_stringn(whole, size), c.scope->where);
    free(whole);
    return st;
}

static ae_status eval_condition(json_t **out, const ae_template *t, context c) {
    bool yes = false;
    ae_status st = eval_truth(&yes, t->items[1], c);
    return st == AE_OK ? eval(out, t->items[yes ? 0 : 2], c) : st;
}

static ae_status eval_not(json_t **out, const ae_template *t, context c) {
    bool yes = false;
    ae_status st = eval_truth(&yes, t->items[0], c);
    if (st == AE_OK) *out = json_boolean(!yes);
    return st;
}

static ae_status eval_node(json_t **out, const ae_template *t, context c) {
    switch (t->kind) {
    case AE_NODE_TEXT:
        return t->n_items == 1 ? eval(out, t->items[0], c) : eval_text(out, t, c);
    case AE_NODE_LIST:
        return eval_list(out, t, c);
    case AE_NODE_NAME:
        return eval_name(out, t, c);
    case AE_NODE_MEMBER:
        return eval_member(out, t, c);
    case AE_NODE_FILTER:
        return eval_filter(out, t, c);
    case AE_NODE_OPERATOR:
        return eval_operator(out, t, c);
    case AE_NODE_NOT:
        return eval_not(out, t, c);
    case AE_NODE_DEFINED:
        return eval_is_defined(out, t, c);
    case AE_NODE_CONDITION:
        return eval_condition(out, t, c);
    case AE_NODE_COMPREHENSION:
        return eval_comprehension(out, t, c);
    default:
        *out = json_incref(t->value);
        return AE_OK;
    }
}

/* *out is NULL after a failure. */
static ae_status eval(json_t **out, const ae_template *t, context c) {
    *out = NULL;
    ae_status st = eval_node(out, t, c);
    if (st == AE_OK) return AE_OK;
    json_decref(*out);
    *out = NULL;
    return st;
}

ae_status ae_template_value(json_t **value, const ae_template *t, const ae_template_scope *scope) {
    return eval(value, t, (context){scope, NULL, scope->n_lets});
}

ae_status ae_template_text(char **text, const ae_template *t, const ae_template_scope *scope) {
    json_t *value = NULL;
    *text = NULL;
    ae_status st = ae_template_value(&value, t, scope);
    if (st == AE_OK && !has_text(value))
        st = AE_FAIL(AE_ERR_INPUT, "%s: expected text, found %s", scope->where, ae_json_type_name(value));
    if (st == AE_OK && (*text = ae_value_text(value)) == NULL) st = ae_template_no_memory(scope->where);
    json_decref(value);
    return st;
}
