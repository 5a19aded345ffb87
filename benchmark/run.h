#ifndef AE_BENCHMARK_RUN_H
#define AE_BENCHMARK_RUN_H
#include "benchmark/encode.h"
#include "benchmark/journal.h"
#include "benchmark/scoring.h"
#include "model/model.h"

/* A model asked all that some tasks ask: documents are opened and encoded, requests of all tasks put in one order,
 * likelihoods found (eval/likelihoods.h), answers written (eval/generator.h). An answer depends on its document, the
 * settings and the seed alone. Finished requests are kept in a journal, and a run that goes on with one ends with the
 * same bits as one that was never stopped. */

/* How far a run is. What is worked and left is in tokens, read or written, so that a long request weighs more than a
 * short one; answers that are not written yet are taken to be as long as those of their task that have ended. */
typedef struct {
    int64_t done, first, all;    /* requests that are finished, those that the journal had, all */
    int64_t worked, left;        /* tokens of this process, and about how many are left */
    int64_t growing, new_tokens; /* answers that are being written, tokens of all answers so far */
} ae_evaluation_progress;

typedef struct {
    const ae_model *model;
    ae_encoding encoding;
    const char *data; /* folder of the documents */
    ae_task_options documents;
    ptrdiff_t batch;    /* requests side by side at most; changes the speed only */
    bool alone;         /* nothing is shared between requests; changes the speed only */
    const char *folder; /* where the journal is kept; NULL: nowhere */
    /* What a journal must agree in, an object of plain values; `run` adds the hash of all requests. */
    const json_t *settings;
    ae_status (*check)(void *context); /* asked before each piece of work; may be NULL */
    void (*progress)(void *context, const ae_evaluation_progress *p); /* often; may be NULL */
    void *context;
} ae_evaluation_options;

typedef struct ae_evaluation ae_evaluation;

/* Opens and encodes: the leaves of the tasks, each once. Borrows tasks and options. AE_ERR_INPUT for bad rows;
 * AE_ERR_USAGE for a journal of other settings. */
ae_status ae_evaluation_new(ae_evaluation **e, const ae_task *const *tasks, size_t n,
                            const ae_evaluation_options *o);
void ae_evaluation_delete(ae_evaluation *e);

/* Reads the rows of all leaves and makes their requests, without model and tokenizer, so that what is wrong with them is
 * known before a model is loaded. Of the options it takes data, documents, check and context. AE_ERR_INPUT: bad rows. */
ae_status ae_evaluation_check_rows(const ae_task *const *tasks, size_t n, const ae_evaluation_options *o);

/* Asks the model what the journal does not have. */
ae_status ae_evaluation_run(ae_evaluation *e);

size_t ae_evaluation_n_leaves(const ae_evaluation *e);
const ae_task *ae_evaluation_leaf(const ae_evaluation *e, size_t leaf);
const ae_task_documents *ae_evaluation_documents(const ae_evaluation *e, size_t leaf);

/* What was found about a document, after the run. */
void ae_evaluation_outcome(ae_outcome *o, const ae_evaluation *e, size_t leaf, ptrdiff_t document);

typedef struct {
    int64_t requests, cut; /* of all; those whose context was cut */
    ae_likelihood_cost
        cost;           /* of the likelihoods of this process: tokens read, tokens that were asked about */
    int64_t new_tokens; /* of answers written by this process */
} ae_evaluation_counts;
ae_evaluation_counts ae_evaluation_count(const ae_evaluation *e);

#endif
