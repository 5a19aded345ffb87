#ifndef AE_JUDGE_SERVER_H
#define AE_JUDGE_SERVER_H
#include "judge/ballot.h"
#include "judge/gate.h"

/* The page of a study, over libmicrohttpd: one thread, which writes one vote after another.
 *
 * Under http://ADDRESS:PORT/TOKEN/: the page and its parts; GET next?rater=NAME, POST vote, POST undo with a body of JSON
 * (judge/ballot.h). A request that is refused gets a code and one line: 400 malformed, 403 not from the page of this
 * server (judge/gate.h), 404, 405, 409 clashes with an earlier vote, 413 longer than 64 kB, 415 not JSON, 507 no room to
 * write. */

typedef struct {
    const char *bind;         /* an address, "127.0.0.1", "::1", "0.0.0.0" */
    unsigned port;            /* 0: a free one */
    const char *token;        /* AE_TOKEN_BYTES */
    const char *const *names; /* as of ae_gate */
    size_t n_names;
} ae_server_options;

typedef struct ae_server ae_server;

/* Listens. `b` and what the options point to are borrowed. AE_ERR_USAGE for an address that cannot be had. */
ae_status ae_server_new(ae_server **s, ae_ballot *b, const ae_server_options *o);
/* "http://127.0.0.1:8765/TOKEN/" */
const char *ae_server_address(const ae_server *s);
/* Answers requests that have come, and waits for some time for more. */
ae_status ae_server_run(ae_server *s);
void ae_server_delete(ae_server *s);

#endif
