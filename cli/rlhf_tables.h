#ifndef AE_CLI_RLHF_TABLES_H
#define AE_CLI_RLHF_TABLES_H
#include <jansson.h>

/* On standard output. */

/* What warp.json holds of the frontier; nothing where it is empty. */
void ae_print_frontier(const json_t *table);
/* What best_of_n.json holds of the best of n; nothing where no prompt counts. */
void ae_print_best_of_n(const json_t *table);

#endif
