#ifndef AE_EVAL_CONVERSATION_PARTS_H
#define AE_EVAL_CONVERSATION_PARTS_H
#include "eval/conversation.h"

/* What eval/conversation.c and eval/conversation_file.c share. */

/* What was said: all that a conversation is but for its state. */
typedef struct {
    char *system; /* NULL: none */
    size_t system_bytes;
    ae_ids ids;
    ae_turn *turns;
    ptrdiff_t n, capacity;
} ae_transcript;

/* The state before turn `turn`, at its place turn mod AE_CONVERSATION_SNAPSHOTS; -1: nothing there. */
typedef struct {
    ae_decode_state state; /* of one sequence; made when it is first needed */
    ptrdiff_t turn;
} ae_snapshot;

struct ae_conversation {
    const ae_model *model;
    const ae_tokenizer *tokenizer;
    char *model_path;            /* absolute where there is such a path, for messages */
    ae_answer_settings settings; /* end_ids are in `ends` */
    int32_t ends[AE_ENDS_MAX + 2];
    ae_decoder *decoder;
    ae_decode_state state; /* of one sequence; it has read the first tokens of ids */
    ae_snapshot snapshots[AE_CONVERSATION_SNAPSHOTS];
    ae_snapshot aside; /* the state after the turn that is tried again; of no turn */
    float *logits;     /* [V] */
    void *room;        /* of a draw */
    ae_transcript said;
};

void ae_transcript_free(ae_transcript *t);
void ae_turn_free(ae_turn *t);
/* A copy with a NUL after it; NULL: no memory. */
char *ae_text_copy(const char *text, size_t n);
/* Room for one more turn. */
ae_status ae_transcript_reserve(ae_transcript *t);

/* Snapshots of turn `first` and later ones; what they follow has changed. */
void ae_conversation_forget(ae_conversation *c, ptrdiff_t first);
ae_snapshot *ae_conversation_snapshot(ae_conversation *c, ptrdiff_t turn);
ae_status ae_snapshot_reserve(ae_snapshot *s, const ae_model *m);

#endif
