#ifndef AE_CORPUS_CHAT_H
#define AE_CORPUS_CHAT_H
#include "core/status.h"

#include <stdint.h>

/* Rows to tune a model with, about tales (corpus/tales.h). Into `folder`, each as NAME-train.jsonl and
 * NAME-heldout.jsonl:
 *
 *   chat      {"messages": [...], "kinds": [...]}: dialogues of one to four questions, the first behind the tale; "kinds"
 *             has the kind of each question. In a third of the training rows the tale is to be told again instead: word
 *             for word, kind "again". Small models learn from those to look things up, which the questions then need
 *   pairs     {"prompt", "chosen", "rejected", "kind", "fault"}: one question; the right answer, and one with a fault
 *   writing   {"messages": [...]}: a writing task (corpus/writing.h) and a tale
 *   graded    {"prompt", "chosen", "rejected", "rewards": [r, r]}: two answers to such a task, the better one first
 *   prompts   {"prompt", "meta": {"name", "thing", "place"}}: such tasks
 *
 * Faults: "wrong" (a sentence of the same form that the tale contradicts), "stray" (true, but about something that was
 * not asked), "cut" (the right answer stops early). `rows` rows for each training file, a twentieth for each held-out
 * one. The same seed gives the same bytes. AE_ERR_USAGE where one of the files exists. */
ae_status ae_chat_write(const char *folder, uint64_t seed, uint64_t rows);

#endif
