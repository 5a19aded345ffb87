#ifndef AE_CLI_EXAMPLE_FLAGS_H
#define AE_CLI_EXAMPLE_FLAGS_H
#include "cli/args.h"
#include "data/example.h"

/* What verbs that read dialogues, pairs and prompts have in common: --kind, --map, and --tokenizer or
 * --model. */
typedef struct {
    const char *kind, *mapping, *tokenizer, *model; /* as on the command line; NULL where not given */
    ae_example_rules rules;
    char *tokenizer_path; /* of rules.tokenizer */
    ae_record_map map;
    ae_tokenizer *opened;
} ae_example_flags;

ae_arg ae_arg_kind(ae_example_flags *f);
ae_arg ae_arg_map(ae_example_flags *f);
ae_arg ae_arg_tokenizer(ae_example_flags *f);
ae_arg ae_arg_tokenizer_of_model(ae_example_flags *f);

/* Fills in the rules. Exactly one of --tokenizer and --model is there, else AE_ERR_USAGE; a model without
 * a tokenizer takes rows in token ids. Not to be moved once open. */
ae_status ae_example_flags_open(ae_example_flags *f);
void ae_example_flags_close(ae_example_flags *f);

#endif
