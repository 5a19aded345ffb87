#ifndef AE_EVAL_CONVERSATION_H
#define AE_EVAL_CONVERSATION_H
#include "core/h5.h"
#include "core/json.h"
#include "eval/generator.h"

/* A dialogue of a user and a model, without any terminal. The decoding state stays between turns, so each
 * turn reads only what is new: tokens as data/render.h makes them, and the answers as the model wrote
 * them. One thread drives a conversation. */
typedef struct ae_conversation ae_conversation;

/* States from before the last turns are kept: going back to one is a copy. Further back the tokens are read
 * again, at the next turn. */
enum { AE_CONVERSATION_SNAPSHOTS = 4 };

/* `m` and `t` are borrowed; `where` names the tokenizer in messages. AE_ERR_INPUT for a tokenizer without
 * turn markers, or larger than the model; AE_ERR_RESOURCE when it does not fit in memory. */
ae_status ae_conversation_new(ae_conversation **out, const ae_model *m, const ae_tokenizer *t,
                              const char *where);
void ae_conversation_delete(ae_conversation *c);

/* How the next answers are made. Callers may change sampling, repetition_penalty, seed and max_new: at first
 * temperature 0.8, everything is drawn from, 256 tokens. */
ae_answer_settings *ae_conversation_settings(ae_conversation *c);

/* Begins anew, without turns. `system` of n bytes joins the first turn; NULL: none. AE_ERR_INPUT for text
 * that is no UTF-8. */
ae_status ae_conversation_begin(ae_conversation *c, const char *system, size_t n);

/* Where an answer goes while it grows. */
typedef struct {
    /* Certain text, in whole characters. Another status than AE_OK ends the turn with it. May be NULL. */
    ae_status (*piece)(void *context, const char *text, size_t n);
    /* Asked before every token and every part of what is read; true ends the answer. May be NULL. */
    bool (*stopped)(void *context);
    void *context;
} ae_conversation_io;

/* What a turn took. */
typedef struct {
    /* AE_ANSWER_STOPPED by an end token, AE_ANSWER_FULL at max_new, AE_ANSWER_CANCELLED by `stopped` */
    ae_answer_end end;
    bool taken_back; /* stopped before the first token: the conversation is as it was before */
    ptrdiff_t read_tokens, answer_tokens;
    double read_s, answer_s;
} ae_turn_report;

/* A turn of the user, and the model's answer. Turn k draws from stream k of the seed. Whatever ended the
 * answer, <end_of_turn> follows it. With another status than AE_OK the conversation is as it was before:
 * AE_ERR_INPUT for text that is empty or no UTF-8, and for logits that are NaN. */
ae_status ae_conversation_ask(ae_conversation *c, const char *text, size_t n, const ae_conversation_io *io,
                              ae_turn_report *report);
/* Takes back the last turn. AE_ERR_USAGE when there is none. */
ae_status ae_conversation_undo(ae_conversation *c);
/* Another answer in place of the last one: try r of turn k draws from stream r 2^32 + k. AE_ERR_USAGE when
 * there is none. Where no new answer begins the old one stays, with the bits of the state. */
ae_status ae_conversation_retry(ae_conversation *c, const ae_conversation_io *io, ae_turn_report *report);

typedef struct {
    char *user, *answer; /* a NUL after each */
    size_t user_bytes, answer_bytes;
    ptrdiff_t begin;        /* of its tokens: what the user adds, from the first one on */
    ptrdiff_t answer_begin; /* of the answer */
    ptrdiff_t end;          /* after the answer's <end_of_turn> */
    int64_t retries;
    ae_answer_end how; /* as in ae_turn_report */
} ae_turn;
ptrdiff_t ae_conversation_turns(const ae_conversation *c);
const ae_turn *ae_conversation_turn(const ae_conversation *c, ptrdiff_t i);
const char *ae_conversation_system(const ae_conversation *c); /* NULL: none */
/* All tokens so far, and the state, which has read the first positions[0] of them. */
const ae_ids *ae_conversation_ids(const ae_conversation *c);
const ae_decode_state *ae_conversation_state(const ae_conversation *c);

/* One HDF5 file with tokens, texts, settings, the decoding state and that before the last turn, written aside
 * and renamed. A file that exists is AE_ERR_USAGE, unless `replace` and it is a conversation. */
ae_status ae_conversation_save(ae_conversation *c, const char *path, bool replace);
/* In place of what was said so far; goes on with the bits of the one that was saved. AE_ERR_INPUT for another
 * model or tokenizer, other types in memory, or a file that is damaged; the conversation then stays as it is.
 * Models are compared by shape, by ae_model_fingerprint and by some logits. */
ae_status ae_conversation_load(ae_conversation *c, const char *path);

/* Whether an HDF5 file that is open is one. */
bool ae_conversation_is_file(hid_t file, const char *path);
/* What is in one, without its model: {turns, length, position, settings, model?, fingerprint, tokenizer_hash, weights,
 * activations, messages: [{role, content}]}. The caller drops it. `quick`: the states are not read. */
ae_status ae_conversation_describe(json_t **facts, const char *path, bool quick);

#endif
