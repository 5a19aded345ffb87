#ifndef AE_BENCHMARK_JOURNAL_H
#define AE_BENCHMARK_JOURNAL_H
#include "core/json.h"

#include <stdbool.h>

/* Finished requests of an evaluation, a line of JSON each behind a first line with the settings, in
 * FOLDER/requests.jsonl: appended in groups, each fsynced. A line that a kill cut off is dropped. */
typedef struct ae_journal ae_journal;

enum { AE_JOURNAL_GROUP = 256 };
static const double AE_JOURNAL_SECONDS = 5; /* a group is written when it is full, or so old */

/* Opens or begins it. Lines that are there go to `line` in order, with "FILE:LINE". AE_ERR_USAGE where its settings are
 * others: "FOLDER: KEY: expected .., found ..". */
ae_status ae_journal_open(ae_journal **j, const char *folder, const json_t *settings,
                          ae_status (*line)(void *context, const json_t *line, const char *where),
                          void *context);
/* `line` is dropped by the call. */
ae_status ae_journal_add(ae_journal *j, json_t *line);
/* Writes what is there. */
ae_status ae_journal_sync(ae_journal *j);
/* Nothing is written: call sync before. Accepts NULL. */
void ae_journal_close(ae_journal *j);

#endif
