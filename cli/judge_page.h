#ifndef AE_CLI_JUDGE_PAGE_H
#define AE_CLI_JUDGE_PAGE_H
#include "core/json.h"

/* A page of HTML on reports of studies (judge/report.h): bars of votes, win rates and strengths with their intervals. */
void ae_judge_page(FILE *f, const json_t *reports);

#endif
