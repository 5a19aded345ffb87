#include "cli/text_flags.h"

#include "core/log.h"

#include <string.h>

ae_arg ae_arg_format(ae_text_flags *to) {
    return (ae_arg){
        .name = "format",
        .type = AE_ARG_TEXT,
        .to = &to->format,
        .value = "auto|text|jsonl",
        .fallback = "auto",
        .help = "what the files are; auto goes by the name: .jsonl, .ndjson, .json (.gz) are JSON lines"};
}

ae_arg ae_arg_bad_lines(ae_text_flags *to) {
    return (ae_arg){
        .name = "bad-lines",
        .type = AE_ARG_TEXT,
        .to = &to->bad_lines,
        .value = "error|skip",
        .fallback = "error",
        .help =
            "lines that are no JSON, lack the text or are no UTF-8: stop, or leave them out and count them"};
}

ae_status ae_text_flags_parse(const ae_text_flags *flags, ae_text_format *format, bool *skip_bad) {
    *skip_bad = strcmp(flags->bad_lines, "skip") == 0;
    if (!*skip_bad && strcmp(flags->bad_lines, "error") != 0)
        return AE_FAIL(AE_ERR_USAGE, "--bad-lines: expected error or skip, found '%s'", flags->bad_lines);
    return ae_text_format_parse(flags->format, format);
}

void ae_bad_lines_tell(const ae_bad_lines *bad) {
    if (bad->n == 0) return;
    ae_warn("%lld bad lines are left out%s", (long long)bad->n,
            bad->n > AE_BAD_LINES_TOLD ? ", the first of them:" : ":");
    for (int i = 0; i < AE_BAD_LINES_TOLD && bad->first[i]; i++) ae_warn("  %s", bad->first[i]);
}

json_t *ae_bad_lines_json(const ae_bad_lines *bad) {
    json_t *first = json_array();
    for (int i = 0; i < AE_BAD_LINES_TOLD && bad->first[i]; i++)
        json_array_append_new(first, json_string(bad->first[i]));
    return json_pack("{s:I, s:o}", "count", (json_int_t)bad->n, "first", first);
}
