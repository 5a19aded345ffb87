#ifndef AE_CORPUS_WRITING_H
#define AE_CORPUS_WRITING_H
#include "corpus/tales.h"

/* A writing task with a rule that grades every answer, so that a learnt reward can be compared with the truth.
 * The prompt is "Write a story about NAME, a THING and PLACE.", such as "Lily, a red ball and the park".
 *
 *   asked    (name + thing + place) / 3: name is min(times it is named, 2) / 2; thing is 1/2 for its colour and 1/2 for
 *            its noun; place is 1 where it is named
 *   length   of n words: n / 60 up to 60, 1 up to 90, then falling to 0 at 180
 *   variety  min(distinct words, 60) / 60, capitals or not
 *   end      1 where the text ends in . ! or ?, 0 otherwise
 *   reward   0.5 asked + 0.2 length + 0.2 variety + 0.1 end, between 0 and 1 */
typedef struct {
    double asked, length, variety, end, reward;
} ae_grade;

typedef struct {
    char name[AE_SLOT_BYTES], thing[AE_SLOT_BYTES], place[AE_SLOT_BYTES];
} ae_task;

/* False where the prompt is none of this form. */
bool ae_task_parse(const char *prompt, ae_task *task);
/* The task that the tale fulfils when it is told for a task (corpus/tales.h). */
void ae_task_of(ae_tale *t, ae_task *task, ae_text *prompt);
void ae_grade_text(const ae_task *task, const char *text, ae_grade *grade);

/* An answer for the task of the tale, often with faults: other names, things or places, no end, sentences told twice. */
void ae_writing_draft(const ae_tale *t, ae_rng *rng, ae_text *out);

#endif
