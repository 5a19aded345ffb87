#ifndef AE_CLI_LINE_INPUT_H
#define AE_CLI_LINE_INPUT_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines of standard input. On a terminal they are edited, with a prompt and a history; elsewhere they are
 * read as they are. */
typedef struct ae_line_input ae_line_input;

typedef struct {
    bool history; /* of earlier programs too: kept in a file of the user */
    /* Whether a signal has come that the waiting for a line should end for. */
    bool (*interrupted)(void);
} ae_line_options;

ae_status ae_line_input_open(ae_line_input **in, const ae_line_options *o);
void ae_line_input_close(ae_line_input *in);

bool ae_line_input_edits(const ae_line_input *in);
int64_t ae_line_input_number(const ae_line_input *in); /* of the line last returned, from 1 */

typedef enum { AE_LINE_TEXT, AE_LINE_END, AE_LINE_INTERRUPTED } ae_line_event;
/* The next line without its end, valid until the next call, with a NUL after it; or why there is none. What
 * was typed when a signal came is dropped. AE_ERR_INPUT when standard input cannot be read. */
ae_status ae_line_input_next(ae_line_input *in, const char *prompt, ae_line_event *event, const char **line,
                             size_t *n);

#endif
