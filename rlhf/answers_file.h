#ifndef AE_RLHF_ANSWERS_FILE_H
#define AE_RLHF_ANSWERS_FILE_H
#include "rlhf/answers.h"

/* Answers of a step in a checkpoint, with their arrays: what a run goes on with that stops between two passes over
 * them. HDF5: /tokens (int32, prompts and answers after one another), /facts (int64, one row an answer: prompt,
 * writer, tokens of the answer, truncated, counts, document, tokens of the prompt, unread), /rewards (float64), /values
 * (float32 [arrays, tokens]), /parts (float64 [answers, columns]: what the caller keeps of each). */
ae_status ae_written_save(const ae_written_set *s, const double *parts, int64_t columns, const char *path);
/* The same set, whose arrays show what `has` says; *parts is the caller's to free. AE_ERR_INPUT for a file that does not
 * hold such a set with so many columns. */
ae_status ae_written_load(ae_written_set *s, double **parts, int64_t columns, unsigned has, const char *path);

#endif
