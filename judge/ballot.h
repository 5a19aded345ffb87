#ifndef AE_JUDGE_BALLOT_H
#define AE_JUDGE_BALLOT_H
#include "judge/votes.h"

/* A study that takes votes: one process at a time (AE_ERR_USAGE where another has it). A vote is in the file, and the
 * file synced, before a call returns. */
typedef struct {
    ae_study study;
    ae_votes votes;
    char *path; /* of votes.jsonl */
    int file, lock;
    size_t bytes; /* of the file */
} ae_ballot;

/* What was left of a line that was being written is cut off. */
ae_status ae_ballot_open(ae_ballot *b, const char *folder);
void ae_ballot_close(ae_ballot *b);

/* A new name of a view, at random. AE_ERR_RESOURCE where the system gives no random numbers. */
ae_status ae_view_draw(char view[AE_VIEW_BYTES]);
/* Whether model b of the comparison is on the left: drawn anew for each view, by its name. */
bool ae_view_is_swapped(const ae_study *s, const char *view);

/* Adds a vote to list and file. AE_ERR_RESOURCE where it could not be written; it is then in neither. */
ae_status ae_ballot_add(ae_ballot *b, const ae_vote *vote);

/* ---- requests of the page ----
 *
 * Replies are objects of JSON that the caller drops. Failures: AE_ERR_INPUT for a request that is malformed,
 * AE_ERR_USAGE for one that clashes with what was voted before, AE_ERR_RESOURCE where nothing could be written. */

/* The first comparison that the rater has not judged, in a new view: {"view", "at", "prompt", "left", "right", "done",
 * "total", "undo": view of the last vote, or null}; with all judged "view" is null and there are no texts. */
ae_status ae_ballot_next(const ae_ballot *b, const char *rater, json_t **reply);
/* {"view", "at", "rater", "choice", "left_acceptable"?, "right_acceptable"?, "comment"?} gives {"done", "total"}. The
 * same again, after a reply that was lost, gives the same and no second vote. */
ae_status ae_ballot_vote(ae_ballot *b, const json_t *request, json_t **reply);
/* {"rater", "view"}, the view of the rater's last vote, takes it back: {"done", "total", "comment": s or null}. The same
 * again is no further step back. */
ae_status ae_ballot_undo(ae_ballot *b, const json_t *request, json_t **reply);

#endif
