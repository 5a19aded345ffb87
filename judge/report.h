#ifndef AE_JUDGE_REPORT_H
#define AE_JUDGE_REPORT_H
#include "judge/votes.h"

/* What the votes of a study amount to, as one object of JSON (docs/interfaces.md, "judge"). People together are one
 * group of raters, each model that judges is a group of its own.
 *
 *     {"study": folder, "models": [names], "items": n, "comparisons": n, "groups": [{
 *         "raters": "people" or a name, "kind": "person"|"model", "votes": n, "comparisons": n,
 *         "pairs": [{"a", "b", "wins", "ties", "losses": of a, "leans": [-2 to 2: votes], SHARE}],
 *         "strengths": [{"model", "value", "low", "high"}],   of three models or more
 *         "left": {SHARE}, "acceptable": [{"model", SHARE}],
 *         "agreement": {"value", "low", "high"},              alpha
 *         "with_people": {SHARE},                             of a model: votes for the same side, or the same, as people
 *         "by_rater": [{"rater", "votes", "ties", "left": {SHARE}, "rate": {SHARE}}],
 *         "comments": [{"rater", "item", "a", "b", "lean", "comment"}]}]}
 *
 * SHARE is "votes", "value", "low", "high" (normal), "resampled_low", "resampled_high" (bootstrap). "rate" is that of the
 * first model of two, with ties as half. What is not known is null. */
ae_status ae_judge_report(const ae_study *s, const ae_votes *v, json_t **report);

#endif
