#ifndef AE_BENCHMARK_TASK_H
#define AE_BENCHMARK_TASK_H
#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A benchmark as data: what `tasks/NAME.yaml` says (docs/tasks.md), its documents, and the prompts made of them.
 *
 *   ae_task        a file: a tree of groups whose leaves have rows
 *   ae_task_documents   the rows of one leaf and the examples drawn for each
 *   ae_request     what the model is asked about one document
 *
 * Prompts, delimiters and drawn examples are those of lm-eval 0.4.13 for the tasks that carry its names. Errors of
 * task files are AE_ERR_USAGE, of rows AE_ERR_INPUT; messages name file, row and field. */

typedef struct ae_template ae_template; /* benchmark/template.h */

typedef enum {
    AE_TASK_CHOICE,   /* `choice`: log-likelihoods of the choices */
    AE_TASK_GENERATE, /* `generate`: text until a stop string */
    AE_TASK_ROLLING,  /* `rolling`: log-likelihood of a whole text */
} ae_task_kind;

/* What `aerie eval ls` lists together. */
typedef enum {
    AE_TOPIC_COMMONSENSE,
    AE_TOPIC_KNOWLEDGE,
    AE_TOPIC_REASONING,
    AE_TOPIC_MATHEMATICS,
    AE_TOPIC_CODE,
    AE_TOPIC_SAFETY,
    AE_TOPIC_TEXT,
    AE_TOPIC_OTHER,
    AE_N_TOPICS
} ae_task_topic;

/* Over one document unless it says otherwise. `row` is ae_request.row. */
typedef enum {
    AE_METRIC_ACC,             /* the likeliest choice is a gold one: by the sum of log-probabilities */
    AE_METRIC_ACC_NORM,        /* by that sum over the choice's characters (Unicode, without delimiter) */
    AE_METRIC_ACC_BYTES,       /* over its bytes of UTF-8 */
    AE_METRIC_ACC_TOKENS,      /* over the tokens of the continuation */
    AE_METRIC_ACC_MUTUAL_INFO, /* log p(continuation | context) - log p(continuation) */
    AE_METRIC_GOLD_MASS, /* share of the probability over all choices that gold choices have: TruthfulQA mc2 */
    AE_METRIC_LIKELIHOOD_DIFF, /* |ll(choice 0) - ll(choice 1)|: CrowS-Pairs */
    AE_METRIC_PREFERS_FIRST,   /* ll(choice 0) > ll(choice 1): `pct_stereotype` of CrowS-Pairs */
    AE_METRIC_BBQ,         /* accuracies and bias scores by context, of facts "condition" (ambig | disambig),
                                * "unknown" and "biased" (lists of the choices that are such) */
    AE_METRIC_EXACT_MATCH, /* the filtered answer equals a reference, after `ignore_*` */
    AE_METRIC_F1,          /* of words with the best reference (SQuAD) */
    AE_METRIC_MATH,        /* ae_math_same with a reference: benchmark/math_answer.h */
    AE_METRIC_PASS_AT_K,   /* unbiased pass@k over the repeats: ae_request_program runs in a sandbox; `k` */
    AE_METRIC_TOXICITY, /* of a classifier's probabilities for the repeats: mean, maximum, whether that is 0.5 or
                                * more, share of those that are (Gehman et al. 2020) */
    AE_METRIC_SENTIMENT, /* a classifier's sentiment, -1 to 1 */
    AE_METRIC_MEMORISED, /* tasks with prompt_tokens: the answer's tokens are those of the text, exactly or but for a
                                * tenth, among the texts that are long enough; how many these are */
    AE_METRIC_WORD_PERPLEXITY, /* rolling: over all documents */
    AE_METRIC_BYTE_PERPLEXITY,
    AE_METRIC_BITS_PER_BYTE,
    AE_N_METRICS
} ae_metric_kind;

typedef struct {
    ae_metric_kind kind;
    char *name;                           /* as results print it: `name`, default the kind's word */
    bool higher_is_better;                /* default by kind */
    bool ignore_case, ignore_punctuation; /* exact_match */
    char **ignore;                        /* exact_match: patterns that are cut out of both sides */
    size_t n_ignore;
    int *k; /* pass_at_k; default 1 */
    size_t n_k;
} ae_metric;

typedef enum {
    AE_FILTER_REGEX, /* a match of `pattern` (regex as Python's re); `group`, `fallback` */
    AE_FILTER_TRIM,  /* white space off the start (lm-eval's remove_whitespace) */
    AE_FILTER_LOWERCASE,
    AE_FILTER_TAKE_FIRST,   /* of the repeats */
    AE_FILTER_TAKE_FIRST_K, /* the first `k` of the repeats */
    AE_FILTER_MAJORITY,     /* the answer that most repeats gave; the earliest of equals */
} ae_filter_kind;

typedef struct {
    ae_filter_kind kind;
    char *pattern;
    int match;      /* regex: which match, 0 the first, -1 the last; of its groups the first that matched */
    char *fallback; /* regex: what stands for no match; default "[invalid]" */
    int k;
} ae_filter_step;

/* A chain of steps over the repeats of a document; every metric is given once for each filter. */
typedef struct {
    char *name;
    ae_filter_step *steps;
    size_t n_steps;
} ae_filter;

typedef struct ae_task ae_task;
struct ae_task {
    char *name; /* "hellaswag", of a leaf of a group "mmlu_anatomy" */
    char *part; /* "anatomy"; "" outside of groups. Templates see it as `part` */
    ae_task_topic topic;
    char *title;   /* one line */
    char *source;  /* paper and place of the release */
    char *version; /* of the task, as results record it: "1.0" */
    char *file;    /* what messages name: the path, or "tasks/NAME.yaml" of an embedded one */

    ae_task *
        *parts; /* a group has them, a leaf has none. A group's metric is the mean over all documents of its
                      * leaves, or over leaves (`weighted: false`) */
    size_t n_parts;
    bool weighted;

    /* What follows is of leaves. */
    ae_task_kind kind;
    ae_metric *metrics;
    size_t n_metrics;
    ae_filter *filters; /* generate: at least one; lm-eval's default is "none" with take_first */
    size_t n_filters;
    char **stops; /* generate: the answer ends before the first of them */
    size_t n_stops;
    int max_new;        /* tokens */
    double temperature; /* 0: greedy */
    double top_p;       /* 1: all */
    int repeats;        /* answers for each document */
    int prompt_tokens; /* 0; else the prompt's first tokens are asked, and the max_new ones behind them are right */
    int shots;         /* few-shot examples by default */
    char *target_delimiter, *shot_delimiter;
    bool has_program;          /* ae_request_program works */
    struct ae_task_text *text; /* templates and where the rows are: benchmark/task_parts.h */
};

/* A task by the name of an embedded file ("hellaswag"), a part of a group ("mmlu_anatomy"), or the path of a .yaml.
 * The caller frees it. AE_ERR_USAGE: no such task ("did you mean"), an unknown key, a value of the wrong kind. */
ae_status ae_task_load(ae_task **task, const char *name_or_path);
void ae_task_free(ae_task *task);
/* Tasks whose names are separated by commas, one at least, none of them twice; `flag` begins messages about the list.
 * ae_task_free_all also after a failure. */
ae_status ae_task_load_all(ae_task ***tasks, size_t *n, const char *names, const char *flag);
void ae_task_free_all(ae_task **tasks, size_t n);

/* The names of embedded tasks in order; NULL behind the last. */
const char *ae_task_name(size_t i);

/* The leaves of a task from left to right; a task that is one gives itself. `leaves` has room for `ae_task_n_leaves`. */
size_t ae_task_n_leaves(const ae_task *task);
void ae_task_leaves(const ae_task *task, const ae_task **leaves);

/* The names that a leaf looks for below DATA/TASK and DATA, the first that is there is read: lists of text, which the
 * caller drops. `examples` is empty where examples are none, of the rows or of the task file. */
ae_status ae_task_files(json_t **rows, json_t **examples, const ae_task *leaf);

/* As files and results print them: "choice", "acc_norm", "regex". */
const char *ae_task_kind_name(ae_task_kind kind);
const char *ae_task_topic_name(ae_task_topic topic);
const char *ae_metric_kind_name(ae_metric_kind kind);
/* Whether a metric is of tasks of that kind. */
bool ae_metric_fits(ae_metric_kind metric, ae_task_kind kind);

typedef struct {
    int shots;       /* few-shot examples; -1: the task's */
    uint32_t seed;   /* of drawn examples; lm-eval's is 1234 */
    ptrdiff_t limit; /* the first documents only; -1: all */
} ae_task_options;

enum { AE_FEWSHOT_SEED = 1234 };

typedef struct ae_task_documents ae_task_documents;

/* The rows of a leaf below the folder `data` (or in the file `data`), and the examples of each document. The leaf
 * must outlive it. AE_ERR_INPUT: no such file, a row that cannot be read, too few rows to draw examples from. */
ae_status ae_task_documents_open(ae_task_documents **documents, const ae_task *leaf, const char *data,
                                 const ae_task_options *options);
void ae_task_documents_close(ae_task_documents *documents);
ptrdiff_t ae_task_documents_count(const ae_task_documents *documents);
/* Those that `limit` left out among them. */
ptrdiff_t ae_task_documents_all(const ae_task_documents *documents);
/* The file that was read first, and how messages name document `i`: "FILE:LINE" or "FILE: row N". */
const char *ae_task_documents_path(const ae_task_documents *documents);
void ae_task_documents_where(char *where, size_t n, const ae_task_documents *documents, ptrdiff_t i);
int ae_task_documents_shots(const ae_task_documents *documents);

/* A stretch of a context: description, a question or its answer. What lies between two of them is delimiter. */
typedef enum { AE_TURN_SYSTEM, AE_TURN_USER, AE_TURN_ASSISTANT } ae_task_turn_role;
typedef struct {
    ae_task_turn_role role;
    size_t begin, end; /* bytes of contexts[0] */
} ae_task_turn;

/* What the model is asked about one document:
 *
 *   choice    log p(continuations[c] | contexts[c]) for each c; continuations[c] is target_delimiter + choices[c].
 *             Where the answer differs in its context alone (WinoGrande's partial scoring) contexts differ and
 *             continuations are equal; else all contexts[c] are one pointer
 *   generate  an answer to contexts[0], until a stop string
 *   rolling   log p(text)
 *
 * contexts[c] is description, examples and question. A few-shot example is question, target_delimiter, answer,
 * shot_delimiter. No BOS stands in a context. All text is UTF-8 without NUL. */
typedef struct {
    ptrdiff_t n_choices;
    char **contexts; /* [n_choices], of generate [1] */
    char **continuations;
    char **choices;    /* the bare choice: its length divides acc_norm and acc_bytes */
    bool *gold;        /* [n_choices]: at least one is true, but for tasks without a right answer */
    bool partial;      /* contexts differ, continuations do not */
    char **references; /* generate: what is right; the first one is a few-shot answer */
    size_t n_references;
    char *text; /* rolling */
    ae_task_turn *turns;
    size_t
        n_turns;   /* the last one is the question, which in a partial task differs from context to context */
    char *group;   /* `by` of the task: metrics are given for each group too; "" where there is none */
    json_t *facts; /* object: `facts` of the task, for metrics that need more than gold */
    json_t *row;   /* the document; ours, not to be changed */
} ae_request;

/* Document `i`. AE_ERR_INPUT names file, row and field: a missing field, a label out of range, an empty choice. */
ae_status ae_request_make(ae_request *r, const ae_task_documents *documents, ptrdiff_t i);
void ae_request_free(ae_request *r);

/* The program that tests an answer to document `i` (`program` of the task, where the answer is `completion`; it runs
 * to its end when the answer is right). The caller frees it. */
ae_status ae_request_program(char **program, const ae_task_documents *documents, ptrdiff_t i,
                             const char *answer);

#endif
