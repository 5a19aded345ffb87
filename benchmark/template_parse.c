#include "benchmark/template_parts.h"
#include "core/json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Recursive descent over one template. */
typedef struct {
    const char *at;
    const char *where;
    int depth;
} parser;

/* Of brackets in each other, and of the tree: a chain of operators or filters is as deep as it is long. */
enum { DEPTH_MAX = 64, TREE_DEPTH_MAX = 512, BYTES_MAX = 64 << 10 };

ae_status ae_template_no_memory(const char *where) {
    return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
}

void ae_template_free(ae_template *t) {
    if (t == NULL) return;
    for (size_t i = 0; i < t->n_items; i++) ae_template_free(t->items[i]);
    free(t->items);
    free(t->name);
    json_decref(t->value);
    free(t);
}

bool ae_template_has_names(const ae_template *t) {
    if (t->kind == AE_NODE_NAME) return true;
    for (size_t i = 0; i < t->n_items; i++)
        if (ae_template_has_names(t->items[i])) return true;
    return false;
}

static ae_template *node_new(ae_node_kind kind) {
    ae_template *t = calloc(1, sizeof *t);
    if (t != NULL) t->kind = kind;
    return t;
}

/* Takes `item`, which is complete, in any case. */
static ae_status node_add(ae_template *t, ae_template *item, const char *where) {
    const bool fits = item->depth < TREE_DEPTH_MAX;
    ae_template **more = fits ? realloc(t->items, (t->n_items + 1) * sizeof *more) : NULL;
    if (more == NULL) {
        ae_template_free(item);
        return fits ? ae_template_no_memory(where)
                    : AE_FAIL(AE_ERR_USAGE,
                              "%s: expected an expression of at most %d operators and filters in a chain, "
                              "found more",
                              where, TREE_DEPTH_MAX);
    }
    t->items = more;
    t->items[t->n_items++] = item;
    if (item->depth >= t->depth) t->depth = item->depth + 1;
    return AE_OK;
}

/* *t becomes the first item of a new node of that kind. */
static ae_status node_wrap(ae_template **t, ae_node_kind kind, const char *where) {
    ae_template *outer = node_new(kind);
    if (outer == NULL) return ae_template_no_memory(where);
    ae_status st = node_add(outer, *t, where);
    *t = outer;
    return st;
}

static ae_status expected(const parser *p, const char *what) {
    if (*p->at == '\0')
        return AE_FAIL(AE_ERR_USAGE, "%s: expected %s, found the template's end", p->where, what);
    return AE_FAIL(AE_ERR_USAGE, "%s: expected %s, found \"%.20s\"", p->where, what, p->at);
}

static void skip_spaces(parser *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
}

static bool is_word(char c) {
    return isalnum((unsigned char)c) || c == '_';
}

static bool take(parser *p, const char *sign) {
    skip_spaces(p);
    size_t n = strlen(sign);
    if (strncmp(p->at, sign, n) != 0) return false;
    if (is_word(sign[0]) && is_word(p->at[n])) return false;
    p->at += n;
    return true;
}

static bool sees(parser *p, const char *sign) {
    const char *at = p->at;
    bool there = take(p, sign);
    p->at = at;
    return there;
}

static ae_status need(parser *p, const char *sign) {
    return take(p, sign) ? AE_OK : expected(p, sign);
}

typedef ae_status parse_function(ae_template **t, parser *p);
static parse_function parse_expression;

/* What `parse` reads becomes the next item of t. */
static ae_status parse_item(ae_template *t, parser *p, parse_function *parse) {
    ae_template *item = NULL;
    ae_status st = parse(&item, p);
    if (st == AE_OK) return node_add(t, item, p->where);
    ae_template_free(item);
    return st;
}

/* Each level of nesting, be it a bracket or a `not`. */
static ae_status enter(parser *p) {
    if (++p->depth <= DEPTH_MAX) return AE_OK;
    return AE_FAIL(AE_ERR_USAGE, "%s: expected an expression no more than %d deep, found more", p->where,
                   DEPTH_MAX);
}

static ae_status parse_word(char **word, parser *p, const char *what) {
    skip_spaces(p);
    size_t n = 0;
    while (is_word(p->at[n])) n++;
    if (n == 0 || isdigit((unsigned char)p->at[0])) return expected(p, what);
    *word = strndup(p->at, n);
    if (*word == NULL) return ae_template_no_memory(p->where);
    p->at += n;
    return AE_OK;
}

static char unescaped(char c) {
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

/* 'text' or "text", with \n, \t, \r, \\, \' and \". */
static ae_status parse_quoted(ae_template *t, parser *p) {
    const char quote = *p->at++;
    char *text = malloc(strlen(p->at) + 1);
    if (text == NULL) return ae_template_no_memory(p->where);
    size_t n = 0;
    while (*p->at != '\0' && *p->at != quote) {
        if (*p->at != '\\') {
            text[n++] = *p->at++;
            continue;
        }
        if (p->at[1] == '\0' || strchr("ntr\\'\"", p->at[1]) == NULL) {
            free(text);
            return expected(p, "\\n, \\t, \\r, \\\\, \\' or \\\" in a quoted text");
        }
        text[n++] = unescaped(p->at[1]);
        p->at += 2;
    }
    t->value = json_stringn(text, n);
    free(text);
    if (*p->at != quote) return expected(p, "the end of a quoted text");
    p->at++;
    return t->value != NULL ? AE_OK : ae_template_no_memory(p->where);
}

static ae_status parse_number(ae_template *t, parser *p) {
    char *end;
    const long long whole = strtoll(p->at, &end, 10);
    if (*end == '.' && isdigit((unsigned char)end[1]))
        t->value = json_real(strtod(p->at, &end));
    else
        t->value = json_integer(whole);
    p->at = end;
    return t->value != NULL ? AE_OK : ae_template_no_memory(p->where);
}

/* The rest of [x for name in list if condition]; t holds x. */
static ae_status parse_comprehension(ae_template *t, parser *p) {
    t->kind = AE_NODE_COMPREHENSION;
    ae_status st = parse_word(&t->name, p, "a name after for");
    if (st == AE_OK) st = need(p, "in");
    if (st == AE_OK) st = parse_item(t, p, parse_expression);
    return st == AE_OK && take(p, "if") ? parse_item(t, p, parse_expression) : st;
}

static ae_status parse_list(ae_template *t, parser *p) {
    ae_status st = AE_OK;
    t->kind = AE_NODE_LIST;
    if (take(p, "]")) return AE_OK;
    do {
        if (t->n_items > 0 && sees(p, "]")) break;
        AE_TRY(parse_item(t, p, parse_expression));
        if (t->n_items == 1 && take(p, "for")) {
            AE_TRY(parse_comprehension(t, p));
            break;
        }
    } while (take(p, ","));
    st = need(p, "]");
out:
    return st;
}

static ae_status parse_name(ae_template *t, parser *p) {
    if (take(p, "true") || take(p, "True")) {
        t->value = json_true();
    } else if (take(p, "false") || take(p, "False")) {
        t->value = json_false();
    } else {
        t->kind = AE_NODE_NAME;
        return parse_word(&t->name, p, "a field, a quoted text, a number, ( or [");
    }
    return AE_OK;
}

static ae_status parse_primary(ae_template **t, parser *p) {
    if (take(p, "(")) {
        ae_status st = parse_expression(t, p);
        return st == AE_OK ? need(p, ")") : st;
    }
    *t = node_new(AE_NODE_CONSTANT);
    if (*t == NULL) return ae_template_no_memory(p->where);
    if (take(p, "[")) return parse_list(*t, p);
    if (*p->at == '"' || *p->at == '\'') return parse_quoted(*t, p);
    if (isdigit((unsigned char)*p->at) || (*p->at == '-' && isdigit((unsigned char)p->at[1])))
        return parse_number(*t, p);
    return parse_name(*t, p);
}

/* The word after a dot. */
static ae_status parse_key(ae_template **t, parser *p) {
    char *word = NULL;
    ae_status st = parse_word(&word, p, "a field after the dot");
    if (st != AE_OK) return st;
    *t = node_new(AE_NODE_CONSTANT);
    if (*t != NULL) (*t)->value = json_string(word);
    free(word);
    return *t != NULL && (*t)->value != NULL ? AE_OK : ae_template_no_memory(p->where);
}

static ae_status parse_member(ae_template **t, parser *p, bool dot) {
    ae_status st = node_wrap(t, AE_NODE_MEMBER, p->where);
    if (st != AE_OK) return st;
    if (dot) return parse_item(*t, p, parse_key);
    st = parse_item(*t, p, parse_expression);
    return st == AE_OK ? need(p, "]") : st;
}

static ae_status parse_arguments(ae_template *t, parser *p) {
    ae_status st = AE_OK;
    if (take(p, ")")) return AE_OK;
    do {
        st = parse_item(t, p, parse_expression);
    } while (st == AE_OK && take(p, ","));
    return st == AE_OK ? need(p, ")") : st;
}

static ae_status parse_filter(ae_template **t, parser *p) {
    ae_status st = node_wrap(t, AE_NODE_FILTER, p->where);
    if (st == AE_OK) st = parse_word(&(*t)->name, p, "a filter after |");
    if (st != AE_OK) return st;
    const char *near = NULL;
    (*t)->filter = ae_filter_find((*t)->name, &near);
    if ((*t)->filter == NULL)
        return AE_FAIL(AE_ERR_USAGE, "%s: %s: no such filter%s%s%s", p->where, (*t)->name,
                       near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    if (*p->at == '(') {
        p->at++;
        st = parse_arguments(*t, p);
    }
    const size_t n = (*t)->filter->n_arguments;
    if (st == AE_OK && (*t)->n_items != n + 1)
        st = AE_FAIL(AE_ERR_USAGE, "%s: filter %s: expected %zu argument%s, found %zu", p->where, (*t)->name,
                     n, n == 1 ? "" : "s", (*t)->n_items - 1);
    return st;
}

static ae_status parse_postfix(ae_template **t, parser *p) {
    ae_status st = parse_primary(t, p);
    while (st == AE_OK) {
        if (*p->at == '.' || *p->at == '[') {
            const bool dot = *p->at++ == '.';
            st = parse_member(t, p, dot);
        } else if (take(p, "|")) {
            st = parse_filter(t, p);
        } else {
            break;
        }
    }
    return st;
}

static ae_status parse_second(ae_template **t, parser *p, ae_operator op, parse_function *parse_side) {
    ae_status st = node_wrap(t, AE_NODE_OPERATOR, p->where);
    if (st != AE_OK) return st;
    (*t)->op = op;
    return parse_item(*t, p, parse_side);
}

static ae_status parse_sum(ae_template **t, parser *p) {
    ae_status st = parse_postfix(t, p);
    while (st == AE_OK) {
        if (take(p, "+") || take(p, "~"))
            st = parse_second(t, p, AE_OP_PLUS, parse_postfix);
        else if (take(p, "-"))
            st = parse_second(t, p, AE_OP_MINUS, parse_postfix);
        else
            break;
    }
    return st;
}

/* `is defined` and `is not defined`. */
static ae_status parse_test(ae_template **t, parser *p) {
    const bool no = take(p, "not");
    if (!take(p, "defined")) return expected(p, "defined after is");
    ae_status st = node_wrap(t, AE_NODE_DEFINED, p->where);
    return st == AE_OK && no ? node_wrap(t, AE_NODE_NOT, p->where) : st;
}

static ae_status parse_comparison(ae_template **t, parser *p) {
    static const struct {
        const char *sign;
        ae_operator op;
    } signs[] = {
        {"==", AE_OP_EQUAL}, {"!=", AE_OP_UNEQUAL}, {"<=", AE_OP_LESS_EQUAL}, {">=", AE_OP_GREATER_EQUAL},
        {"<", AE_OP_LESS},   {">", AE_OP_GREATER},  {"in", AE_OP_IN}};
    ae_status st = parse_sum(t, p);
    if (st != AE_OK) return st;
    if (take(p, "is")) return parse_test(t, p);
    if (take(p, "not")) {
        st = need(p, "in");
        return st == AE_OK ? parse_second(t, p, AE_OP_NOT_IN, parse_sum) : st;
    }
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (take(p, signs[i].sign)) return parse_second(t, p, signs[i].op, parse_sum);
    return AE_OK;
}

static ae_status parse_not(ae_template **t, parser *p) {
    if (!take(p, "not")) return parse_comparison(t, p);
    ae_status st = enter(p);
    if (st == AE_OK) st = parse_not(t, p);
    p->depth--;
    return st == AE_OK ? node_wrap(t, AE_NODE_NOT, p->where) : st;
}

static ae_status parse_and(ae_template **t, parser *p) {
    ae_status st = parse_not(t, p);
    while (st == AE_OK && take(p, "and")) st = parse_second(t, p, AE_OP_AND, parse_not);
    return st;
}

static ae_status parse_or(ae_template **t, parser *p) {
    ae_status st = parse_and(t, p);
    while (st == AE_OK && take(p, "or")) st = parse_second(t, p, AE_OP_OR, parse_and);
    return st;
}

/* Without an `else` the `if` is that of a comprehension. */
static ae_status parse_condition(ae_template **t, parser *p) {
    ae_template *condition = NULL;
    ae_status st = parse_or(t, p);
    const char *before = p->at;
    if (st != AE_OK || !take(p, "if")) return st;
    st = parse_or(&condition, p);
    if (st != AE_OK || !take(p, "else")) {
        p->at = before;
        goto out;
    }
    AE_TRY(node_wrap(t, AE_NODE_CONDITION, p->where));
    st = node_add(*t, condition, p->where);
    condition = NULL;
    if (st == AE_OK) st = parse_item(*t, p, parse_expression);
out:
    ae_template_free(condition);
    return st;
}

static ae_status parse_expression(ae_template **t, parser *p) {
    ae_status st = enter(p);
    if (st == AE_OK) st = parse_condition(t, p);
    p->depth--;
    return st;
}

/* Plain text up to the next {{ or the end. */
static ae_status parse_plain(ae_template *whole, parser *p) {
    size_t n = 0;
    while (p->at[n] != '\0' && strncmp(p->at + n, "{{", 2) != 0) {
        if (strncmp(p->at + n, "{%", 2) == 0 || strncmp(p->at + n, "{#", 2) == 0)
            return AE_FAIL(AE_ERR_USAGE,
                           "%s: expected expressions in {{ }} only, found \"%.20s\"; write a choice as "
                           "{{ a if b else c }}",
                           p->where, p->at + n);
        n++;
    }
    if (n == 0) return AE_OK;
    ae_template *plain = node_new(AE_NODE_CONSTANT);
    if (plain == NULL) return ae_template_no_memory(p->where);
    plain->value = json_stringn(p->at, n);
    p->at += n;
    if (plain->value != NULL) return node_add(whole, plain, p->where);
    ae_template_free(plain);
    return ae_template_no_memory(p->where);
}

static ae_status parse_braces(ae_template *whole, parser *p) {
    p->at += 2;
    ae_status st = parse_item(whole, p, parse_expression);
    return st == AE_OK ? need(p, "}}") : st;
}

static ae_status parse_text(ae_template **t, const char *text, const char *where) {
    parser p = {.at = text, .where = where};
    ae_status st = AE_OK;
    if (strlen(text) > BYTES_MAX)
        return AE_FAIL(AE_ERR_USAGE, "%s: expected a template of at most %d bytes, found %zu", where,
                       BYTES_MAX, strlen(text));
    *t = node_new(AE_NODE_TEXT);
    if (*t == NULL) return ae_template_no_memory(where);
    while (st == AE_OK && *p.at != '\0') {
        st = parse_plain(*t, &p);
        if (st == AE_OK && *p.at != '\0') st = parse_braces(*t, &p);
    }
    return st;
}

static ae_status parse_value(ae_template **t, const json_t *value, const char *where) {
    if (json_is_string(value)) return parse_text(t, json_string_value(value), where);
    *t = node_new(json_is_array(value) ? AE_NODE_LIST : AE_NODE_CONSTANT);
    if (*t == NULL) return ae_template_no_memory(where);
    if (!json_is_array(value)) {
        (*t)->value = json_deep_copy(value);
        return (*t)->value != NULL ? AE_OK : ae_template_no_memory(where);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        ae_template *item = NULL;
        ae_status st = parse_value(&item, json_array_get(value, i), where);
        if (st != AE_OK) {
            ae_template_free(item);
            return st;
        }
        st = node_add(*t, item, where);
        if (st != AE_OK) return st;
    }
    return AE_OK;
}

ae_status ae_template_parse(ae_template **t, const json_t *value, const char *where) {
    *t = NULL;
    ae_status st = parse_value(t, value, where);
    if (st == AE_OK) return AE_OK;
    ae_template_free(*t);
    *t = NULL;
    return st;
}
