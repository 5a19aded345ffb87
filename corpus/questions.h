#ifndef AE_CORPUS_QUESTIONS_H
#define AE_CORPUS_QUESTIONS_H
#include "corpus/tales.h"

/* Questions about a tale. Each has one right answer, a clause of the tale word for word. The words of the question find
 * where the clause begins: a small model learns sooner to go on from there than to tell what stood before.
 * Yes-no questions are answered in the same way, without yes or no. */
typedef struct {
    const char *kind; /* "who", "colour", ...: for figures by kind */
    ae_fact fact;     /* what the tale has to tell */
    bool of_one;      /* it names x, so that "And {y}?" or "And where did {x.he} live?" may follow */
    const char *question, *answer;
    const char *wrong; /* of the same form, but what the tale says is otherwise */
    const char
        *followup; /* of_one: the question after one about the same friend; NULL: only after its like */
} ae_question;

extern const ae_question ae_questions[];
extern const size_t ae_n_questions;

/* One turn of a dialogue, and what may stand in place of its answer. */
typedef struct {
    size_t question; /* of ae_questions */
    int friend;      /* who x is: 0: a, 1: b */
    ae_text asked, answer, wrong;
} ae_turn;

enum { AE_TURNS_MAX = 4 };

/* Fills `n` turns about the tale, no question of one friend twice. With the numbers of the tale's slots. */
void ae_questions_ask(ae_tale *t, ae_turn *turns, size_t n);

/* An answer that is right for another question about another fact of the tale. */
void ae_questions_stray(ae_tale *t, const ae_turn *turn, ae_text *out);

#endif
