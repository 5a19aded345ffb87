#ifndef AE_JUDGE_VOTES_H
#define AE_JUDGE_VOTES_H
#include "judge/study.h"

#include <stdbool.h>

/* The votes of a study, votes.jsonl. A line is a vote:
 *
 *     {"view": hex, "items_crc32": n, "rater": s, "kind": "person"|"model", "item": id, "left": model, "right": model, "choice": -2..2,
 *      "left_acceptable": bool|null, "right_acceptable": bool|null, "comment"?: s, "time": s,
 *      "judge"?: s, "log_odds"?: x}                of a model: which one, and how much the right answer is preferred
 *
 * "choice" is -2 where the left answer is much better, 0 for the same, 2 where the right one is much better. Or it takes
 * the vote of a view back: {"view", "rater", "undone": true, "time"}. A rater has one vote on a comparison, the last. A
 * line without its end was being written when the program was killed, and is no vote. */

enum { AE_VIEW_BYTES = 33, AE_RATER_BYTES_MAX = 64 };

typedef struct {
    const char *view, *rater, *comment; /* of `line`; comment is NULL without */
    const char *judge;                  /* the model, NULL of a person */
    double log_odds;                    /* of a model with `judge` */
    bool is_model;
    ae_comparison what;
    bool swapped;      /* b was on the left */
    int choice;        /* as in the line */
    int acceptable[2]; /* of left and right: 1, 0, -1 where nothing was said */
    bool stands;       /* false: taken back */
    json_t *line;
} ae_vote;

typedef struct {
    ae_vote *items;
    size_t n, capacity;
    json_t *views;       /* view -> number, of those taken back too */
    json_t *comparisons; /* rater, item and models -> number of the vote that stands */
} ae_votes;

/* A study without votes.jsonl has none. *whole_bytes (may be NULL): up to the end of the last whole line. AE_ERR_INPUT
 * "FILE:LINE: ..." */
ae_status ae_votes_read(ae_votes *v, const ae_study *s, size_t *whole_bytes);
void ae_votes_free(ae_votes *v);

/* Takes a line in. */
ae_status ae_votes_add(ae_votes *v, const ae_study *s, json_t *line, const char *where);

/* NULL: none. */
const ae_vote *ae_votes_of_view(const ae_votes *v, const char *view);
const ae_vote *ae_votes_find(const ae_votes *v, const char *rater, const ae_comparison *c);
/* The last of a rater that stands. */
const ae_vote *ae_votes_last(const ae_votes *v, const char *rater);

/* Of the vote, from the side of model a: 1 where it is better, 1/2, 0. */
double ae_vote_score(const ae_vote *v);
/* From -2, b is much better, to 2. */
int ae_vote_lean(const ae_vote *v);

/* A line of its own as the file has it; the time is now. NULL: no memory. */
json_t *ae_vote_line(const ae_study *s, const ae_vote *v);

/* AE_ERR_INPUT unless it has 1 to 64 bytes, none of them of control, and no blanks at its ends. */
ae_status ae_rater_check(const char *name);

#endif
