#ifndef AE_BENCHMARK_FILTERS_H
#define AE_BENCHMARK_FILTERS_H
#include "benchmark/task.h"

/* What is taken from the answers of a model before they are compared: the filters of a task, compiled once. */
typedef struct ae_filter_chain ae_filter_chain;

/* AE_ERR_USAGE for a pattern that is no regular expression (PCRE2, of characters of Unicode). `where` names the task. */
ae_status ae_filter_chain_new(ae_filter_chain **c, const ae_filter *f, const char *where);
void ae_filter_chain_delete(ae_filter_chain *c);

/* Texts that the caller frees. */
typedef struct {
    char **items;
    size_t n;
} ae_texts;
void ae_texts_free(ae_texts *t);

/* The answers to one document, step after step. AE_ERR_INPUT for an answer on which a pattern's search was given up. */
ae_status ae_filter_apply(ae_texts *out, const ae_filter_chain *c, const char *const *answers, size_t n);

/* A regular expression by itself; `subject` without what matches it, the caller frees. AE_ERR_INPUT as above. */
typedef struct ae_pattern ae_pattern;
ae_status ae_pattern_new(ae_pattern **p, const char *text, const char *where);
void ae_pattern_delete(ae_pattern *p);
ae_status ae_pattern_cut(char **out, const ae_pattern *p, const char *subject);

#endif
