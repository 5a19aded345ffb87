#ifndef AE_CLI_LINE_HISTORY_H
#define AE_CLI_LINE_HISTORY_H

/* Lines that were typed at a prompt, in a file that only the user can read:
 * $XDG_STATE_HOME/aerie/chat-history, or ~/.local/state in place of the variable. Every line is added as soon
 * as it is typed, so programs that run side by side lose none. Without a home nothing is kept; neither is it
 * where the file cannot be used, with a warning. */
typedef struct {
    int fd; /* -1: none */
} ae_line_history;

/* Calls `each` for the last lines, from old to new. */
void ae_line_history_open(ae_line_history *h, void (*each)(void *context, const char *line), void *context);
void ae_line_history_add(ae_line_history *h, const char *line);
void ae_line_history_close(ae_line_history *h);

#endif
