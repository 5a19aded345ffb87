#ifndef AE_SANDBOX_COMMAND_H
#define AE_SANDBOX_COMMAND_H
#include "sandbox/run.h"

/* Descriptors of bubblewrap and the program: input, output and errors, then these. The program keeps MARK and loses
 * the others; without a sandbox STATUS is open until it is executed, and the rest is not there. */
enum { AE_COMMAND_MARK = 3, AE_COMMAND_STATUS, AE_COMMAND_GO, AE_COMMAND_FILTER, AE_COMMAND_FILES };

/* What to execute: bubblewrap with the interpreter behind it, or the interpreter alone. */
typedef struct {
    const char **argv, *const *environment; /* each ends with NULL */
    int n_files;                            /* descriptors that it needs */
    size_t n, room;                         /* words of argv, without the NULL */
    char disk[32];                          /* a word made here */
} ae_command;

ae_status ae_command_make(ae_command *c, const ae_run_settings *s);
void ae_command_free(ae_command *c);

#endif
