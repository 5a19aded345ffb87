#ifndef AE_BENCHMARK_TEMPLATE_PARTS_H
#define AE_BENCHMARK_TEMPLATE_PARTS_H
#include "benchmark/template.h"

#include <stddef.h>

/* Between the files of the template language only. A template is a tree of these. */

typedef enum {
    AE_NODE_CONSTANT,     /* value */
    AE_NODE_TEXT,         /* all of items as text, one after another */
    AE_NODE_LIST,         /* items */
    AE_NODE_NAME,         /* name */
    AE_NODE_MEMBER,       /* items[0], by the key or number items[1] */
    AE_NODE_FILTER,       /* filter of items[0], arguments behind */
    AE_NODE_OPERATOR,     /* op of items[0], items[1] */
    AE_NODE_NOT,          /* items[0] */
    AE_NODE_DEFINED,      /* whether items[0] is */
    AE_NODE_CONDITION,    /* items[0] if items[1] else items[2] */
    AE_NODE_COMPREHENSION /* items[0] for name in items[1], where items[2] holds if it is there */
} ae_node_kind;

typedef enum {
    AE_OP_OR,
    AE_OP_AND,
    AE_OP_EQUAL,
    AE_OP_UNEQUAL,
    AE_OP_LESS,
    AE_OP_LESS_EQUAL,
    AE_OP_GREATER,
    AE_OP_GREATER_EQUAL,
    AE_OP_IN,
    AE_OP_NOT_IN,
    AE_OP_PLUS,
    AE_OP_MINUS
} ae_operator;

typedef struct ae_filter_function ae_filter_function;

struct ae_template {
    ae_node_kind kind;
    json_t *value;
    char *name;
    ae_operator op;
    const ae_filter_function *filter;
    ae_template **items;
    size_t n_items;
    int depth; /* of the tree below it: 0 without items */
};

enum { AE_FILTER_ARGUMENTS_MAX = 2 };

/* One filter: a new value of `x` and its arguments. */
struct ae_filter_function {
    const char *name;
    size_t n_arguments;
    ae_status (*apply)(json_t **out, const json_t *x, json_t *const *arguments, const char *where);
};

/* By name; NULL: there is none, and *near is a name like it or NULL. */
const ae_filter_function *ae_filter_find(const char *name, const char **near);

/* Of a value that is no list, object or null: its text, which the caller frees. NULL: no memory, or no such value. */
char *ae_value_text(const json_t *x);
ae_status ae_template_no_memory(const char *where);

#endif
