#ifndef AE_RLHF_PROGRAM_LINES_H
#define AE_RLHF_PROGRAM_LINES_H
#include "rlhf/reward_kind.h"
#include "rlhf/worker.h"

/* The lines that a program which rewards reads and writes (rlhf/program_reward.h). `where` begins the messages. */

/* The line of an answer goes to the worker. Meta goes as it was given, its line ends left out. */
ae_status ae_program_line_send(ae_worker *w, const ae_reward_input *in, int64_t id, const char *where);

/* What stands in a line [n] of the program: AE_ERR_INPUT "where: ..." where it is no object with an id, or its reward is
 * no finite number. */
ae_status ae_program_line_id(const char *line, size_t n, const char *where, int64_t *id);
ae_status ae_program_line_reward(const char *line, size_t n, const char *where, double *reward);

#endif
