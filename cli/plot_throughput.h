#ifndef AE_CLI_PLOT_THROUGHPUT_H
#define AE_CLI_PLOT_THROUGHPUT_H
#include "cli/gnuplot.h"

#include <jansson.h>
#include <stdbool.h>

bool ae_plot_is_throughput(const json_t *root);
/* A result of `aerie bench throughput --json`: reading, writing and memory of the state by length, a line a model;
 * *bytes is the picture, the caller frees it. */
ae_status ae_plot_throughput(const json_t *root, const char *path, ae_picture_kind kind, char **bytes,
                             size_t *n_bytes);

#endif
