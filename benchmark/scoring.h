#ifndef AE_BENCHMARK_SCORING_H
#define AE_BENCHMARK_SCORING_H
#include "benchmark/filters.h"
#include "eval/likelihoods.h"

/* From what a model said to metrics: a value for each document, and what they come to over many. */

/* How the values of documents become one number. v[0] is the value of a document unless it says otherwise. */
typedef enum {
    AE_OVER_MEAN,
    AE_OVER_COUNTED,         /* mean of v[0] where v[3] is 1 */
    AE_OVER_WORD_PERPLEXITY, /* exp(-sum v[0] / sum v[1]): log-probability of a text, its words or bytes */
    AE_OVER_BYTE_PERPLEXITY, /* the same */
    AE_OVER_BITS_PER_BYTE,   /* -sum v[0] / sum v[1] / ln 2 */
    /* BBQ (Parrish et al. 2022, section 5): v = right, biased answer, answer that is not "unknown", context that tells
     * the answer; each 0 or 1 */
    AE_OVER_AMBIGUOUS,         /* mean of v[0] where v[3] is 0 */
    AE_OVER_DISAMBIGUATED,     /* where it is 1 */
    AE_OVER_AMBIGUOUS_BIAS,    /* (1 - accuracy) (2 sum v[1] / sum v[2] - 1) where v[3] is 0 */
    AE_OVER_DISAMBIGUATED_BIAS /* 2 sum v[1] / sum v[2] - 1 where v[3] is 1 */
} ae_over;

typedef struct {
    double v[4];
} ae_value;

/* One metric after one filter. */
typedef struct {
    char *name;         /* "acc", "pass@1" */
    const char *filter; /* "none", "strict-match" */
    bool higher_is_better;
    ae_over over;
    ae_value *values; /* one for each document */
} ae_column;

/* What lm-eval calls the aggregation: "mean", "weighted_perplexity", .. */
const char *ae_over_name(ae_over over);
/* The first one of that name. */
bool ae_over_find(ae_over *over, const char *name);
/* Of documents `which` [n] (NULL: the first n). NaN where nothing of them counts. */
double ae_column_aggregate(const ae_column *c, const ptrdiff_t *which, ptrdiff_t n);
/* The sample standard error of the mean, sqrt(sum (x - mean)^2 / (n - 1) / n); NaN for what is no mean, and for fewer
 * than 2 documents. */
double ae_column_stderr(const ae_column *c, const ptrdiff_t *which, ptrdiff_t n);
/* Standard errors and means of parts that share no documents: sqrt(sum (n_i - 1) n_i se_i^2 / (N - k) / N), or for the
 * plain mean of k parts sqrt(sum se_i^2) / k. */
double ae_pooled_stderr(const double *stderrs, const ptrdiff_t *sizes, size_t k, bool weighted);
double ae_pooled_mean(const double *means, const ptrdiff_t *sizes, size_t k, bool weighted);

/* What metrics ask of others. A missing one is AE_ERR_USAGE for the tasks that need it. */
typedef struct {
    ae_status (*run_programs)(void *context, const char *const *texts, ptrdiff_t n, bool *passed);
    /* Probabilities, 0 to 1, of the answers to one document. */
    ae_status (*toxicity)(void *context, const char *const *texts, size_t n, double *probabilities);
    /* -1 to 1. */
    ae_status (*sentiment)(void *context, const char *const *texts, size_t n, double *sentiments);
    void *context;
} ae_judges;

/* What a model said about one document. */
typedef struct {
    const ae_likelihood *choices; /* [n_choices] */
    const ae_likelihood
        *alone;     /* [n_choices]: of the continuations without the context, for acc_mutual_info */
    double rolling; /* log-probability of the text */
    const char *const *answers; /* [n_answers] */
    size_t n_answers;
    const int32_t
        *recalled; /* [n_recalled]: with prompt_tokens, what the text goes on with; 0: it is too short */
    ptrdiff_t n_recalled;
} ae_outcome;

typedef struct ae_scoring ae_scoring;

/* All columns of a leaf. Borrows everything. */
ae_status ae_scoring_new(ae_scoring **s, const ae_task *leaf, const ae_task_documents *documents,
                         const ae_judges *judges);
void ae_scoring_delete(ae_scoring *s);

ae_status ae_scoring_add(ae_scoring *s, ptrdiff_t document, const ae_request *r, const ae_outcome *o);
/* Once all documents are added: runs the programs. */
ae_status ae_scoring_finish(ae_scoring *s);

size_t ae_scoring_n_columns(const ae_scoring *s);
const ae_column *ae_scoring_column(const ae_scoring *s, size_t i);

/* The answers to a document after filter `f`. The caller frees them. */
ae_status ae_scoring_filter(ae_texts *out, const ae_scoring *s, size_t f, const ae_outcome *o);

/* Whether a task asks for the continuations without their context too. */
bool ae_task_wants_alone(const ae_task *leaf);

#endif
