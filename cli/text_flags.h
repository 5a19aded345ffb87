#ifndef AE_CLI_TEXT_FLAGS_H
#define AE_CLI_TEXT_FLAGS_H
#include "cli/args.h"
#include "data/documents.h"

#include <jansson.h>

/* What verbs that read text have in common: --format auto|text|jsonl and --bad-lines error|skip, and what
 * they say of lines left out. */
typedef struct {
    const char *format, *bad_lines; /* as on the command line */
} ae_text_flags;
#define AE_TEXT_FLAGS ((ae_text_flags){"auto", "error"})

ae_arg ae_arg_format(ae_text_flags *to);
ae_arg ae_arg_bad_lines(ae_text_flags *to);
/* AE_ERR_USAGE for other words. */
ae_status ae_text_flags_parse(const ae_text_flags *flags, ae_text_format *format, bool *skip_bad);

/* A warning with the first places, where lines were left out. */
void ae_bad_lines_tell(const ae_bad_lines *bad);
/* {"count", "first": ["file:line: reason", ...]}; the caller owns it. */
json_t *ae_bad_lines_json(const ae_bad_lines *bad);

#endif
