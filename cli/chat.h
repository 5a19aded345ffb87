#ifndef AE_CLI_CHAT_H
#define AE_CLI_CHAT_H
#include "cli/sampling_flags.h"
#include "eval/conversation.h"

/* Lines of standard input to a conversation, until they end: messages, and commands that begin with "/". */
typedef struct {
    const ae_sampling_flags *sampling; /* those on the command line stay when a conversation is loaded */
    const char *system;                /* NULL: none */
    bool json, verbose, no_history;
} ae_chat_options;

/* Signals are caught from here on: SIGINT stops an answer. */
ae_status ae_chat_run(ae_conversation *c, const ae_chat_options *o);
/* The commands, a line each, for --help and /help. */
void ae_chat_list_commands(FILE *out);

#endif
