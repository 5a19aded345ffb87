#ifndef AE_CLI_JUDGE_VERBS_H
#define AE_CLI_JUDGE_VERBS_H
#include "core/status.h"

/* The parts of `aerie judge`. */
ae_status ae_judge_make(int argc, char **argv);
ae_status ae_judge_serve(int argc, char **argv);
ae_status ae_judge_add(int argc, char **argv);
ae_status ae_judge_report_verb(int argc, char **argv);

#endif
