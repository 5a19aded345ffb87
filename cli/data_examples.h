#ifndef AE_CLI_DATA_EXAMPLES_H
#define AE_CLI_DATA_EXAMPLES_H
#include "cli/example_flags.h"
#include "data/prepare.h"

/* `aerie data prepare --kind ...`: token sets of dialogues, pairs or prompts, and the report of them. Of
 * the options inputs, output, heldout, force, skip_bad and check are used; the flags are open. */
ae_status ae_data_examples(const ae_prepare_options *o, const ae_example_flags *flags, bool json);

#endif
