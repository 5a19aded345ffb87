#ifndef AE_CORPUS_GRADE_H
#define AE_CORPUS_GRADE_H
#include "core/status.h"

/* Prints for each line of `answers`, {"text"}, and the line of `prompts` in the same place, {"prompt"}, a line
 * {"reward", "asked", "length", "variety", "end"} (corpus/writing.h), and their mean reward on stderr. Both files are JSONL,
 * plain or .gz. AE_ERR_INPUT where a row is not of that form, a prompt is no writing task, or one file has more rows. */
ae_status ae_grade_files(const char *prompts, const char *answers);

/* As a program that rewards answers (docs/interfaces.md, "Rewards"): for each line {"id", "prompt", "answer"} of
 * standard input, plain or .gz, a line {"id", "reward"}, before the next one is read. AE_ERR_INPUT as above. */
ae_status ae_grade_requests(void);

#endif
