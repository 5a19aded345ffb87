#ifndef AE_TRAIN_METRICS_H
#define AE_TRAIN_METRICS_H
#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* metrics.jsonl, one object a line. Lines are handed to the system as they come, so that others can
 * follow; `sync` puts them on the disk. Opening cuts the file to an offset that a checkpoint kept, so a
 * resumed run has no gap and nothing twice. Training needs nothing of it: where lines are lost, a run goes
 * on after those that are left. */
typedef struct {
    FILE *file;
    char *path; /* owned */
    int64_t offset;
} ae_metrics;

/* Takes the lock of the run, before anything else of it is read, and changes nothing; AE_ERR_USAGE when
 * another process holds it. A file that is not there is made when `make`, else m->file is NULL. */
ae_status ae_metrics_lock(ae_metrics *m, const char *path, bool make);
/* `m` is zeroed or locked. A file shorter than `offset` is AE_ERR_INPUT: ask ae_metrics_find_end before. */
ae_status ae_metrics_open(ae_metrics *m, const char *path, int64_t offset);
/* Takes `line` over. On a full disk the part that was written is cut off again. */
ae_status ae_metrics_add(ae_metrics *m, json_t *line);
ae_status ae_metrics_sync(ae_metrics *m);
void ae_metrics_close(ae_metrics *m);

/* Where a checkpoint left the file. */
typedef struct {
    int64_t step, evaluated_step;
    int64_t offset;
} ae_metrics_mark;
/* What is lost of what was there then; all 0: nothing. */
typedef struct {
    int64_t first, last, missing; /* steps without a line, the first, the last and how many */
    int64_t evaluation;           /* the last one before the checkpoint, where its line is lost */
    bool cuts; /* a line that is none, or out of order, ended it: others may stand after it */
} ae_metrics_gap;
/* The file may have been lost, cut or made anew since: m->offset moves to the end of the last of its first
 * lines that are whole and from before the checkpoint, in order. It stays where the checkpoint's last line
 * ends there; a file that is not there has no lines. A line with a `score`, "eval_loss", tells an
 * evaluation, others a step. */
ae_status ae_metrics_find_end(const char *path, const char *score, ae_metrics_mark *m, ae_metrics_gap *g);

/* The evaluation of `step`, where its line comes right after `offset`: a checkpoint is written before
 * its evaluation, which need not be done twice. *line (the caller releases it) is NULL when there is none;
 * else *offset moves past it. */
ae_status ae_metrics_find_evaluation(const char *path, const char *score, int64_t step, int64_t *offset,
                                     json_t **line);

/* What `metrics` has lost, in one line; nothing where it is whole. */
void ae_metrics_tell_gap(const char *metrics, const ae_metrics_gap *g);

#endif
