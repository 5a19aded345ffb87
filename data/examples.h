#ifndef AE_DATA_EXAMPLES_H
#define AE_DATA_EXAMPLES_H
#include "data/documents.h"
#include "data/example.h"

/* Rows of JSON lines to a token set of their kind (data/token_set.h): a document for each dialogue or
 * prompt, two for each pair. Pairs and dialogues have a loss mask. The input is read twice: to check and
 * count it, before anything is written, then to write. */
typedef struct {
    const char *const *inputs; /* files, plain or gzip */
    size_t n_inputs;
    ae_example_rules rules;
    const char *mapping;      /* as the manifest tells it; may be NULL */
    const char *output;       /* F.h5, written aside and then renamed; one that exists is replaced */
    const char *held_path;    /* a second set with the last rows; NULL: nothing is held out */
    double heldout;           /* its share of the rows, at least one (rounded down) */
    bool skip_bad;            /* rows with faults are left out, and counted; else the first is AE_ERR_INPUT */
    ae_status (*check)(void); /* asked now and then (signals), its failure ends the work; may be NULL */
} ae_examples_options;

/* Of one set. */
typedef struct {
    int64_t rows, documents, tokens;
    int64_t targets; /* tokens that count; 0 for prompts */
    int64_t longest; /* tokens of the longest document */
} ae_examples_count;

typedef struct {
    ae_examples_count train, held;
    int64_t untrained;    /* rows of chat without a token that counts */
    int64_t unused_turns; /* turns of the user after the last answer */
    int64_t duplicates;   /* rows that came before; they stay */
    ae_bad_lines bad;     /* the caller frees it, after a failure too */
} ae_examples_report;

/* AE_ERR_INPUT too where no token of a set of chat counts, and where nothing is left to train on. */
ae_status ae_examples_prepare(const ae_examples_options *o, ae_examples_report *report);

#endif
