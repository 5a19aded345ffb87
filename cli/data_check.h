#ifndef AE_CLI_DATA_CHECK_H
#define AE_CLI_DATA_CHECK_H
#include "data/example.h"

/* `aerie data validate --kind ...`: every fault of rows of JSON lines, rows that come twice, rows that are
 * too long, and counts. */
typedef struct {
    const char *const *inputs;
    size_t n_inputs;
    ae_example_rules rules;
    int64_t row_tokens; /* 0: rows are not measured */
    const char *fix;    /* where the good rows go; NULL: nowhere */
    bool force;         /* the file at `fix` may exist */
    bool json;
} ae_check_options;

/* AE_ERR_INPUT when something is wrong, after the report. */
ae_status ae_data_check(const ae_check_options *o);

#endif
