#ifndef AE_JUDGE_GATE_H
#define AE_JUDGE_GATE_H
#include <stdbool.h>
#include <stddef.h>

/* Who may ask the server of a study for anything. The address holds a token that nobody can guess, "/TOKEN/next". A page
 * of another site does not know it; should it learn it, it can neither read replies nor vote:
 *
 * - DNS rebinding makes a name of another site lead here. The browser sends that name as Host, and Host has to be the
 *   address that the connection has reached, "localhost" where that is the loopback, or a name that the user gave.
 * - A form or script of another site sends its own Origin with every POST, and Origin has to be this server's. Browsers
 *   say with Sec-Fetch-Site, too, where a request comes from. */

enum { AE_TOKEN_BYTES = 33 }; /* 32 hexadecimal digits and a NUL */

/* What follows the token in "/TOKEN/REST"; NULL for another path or token. The time does not depend on how much of the
 * token is right. */
const char *ae_gate_path(const char *url, const char *token);

typedef struct {
    const char *reached;      /* address of the connection: "127.0.0.1", "::1" */
    unsigned port;            /* of it */
    const char *const *names; /* that may stand for it: "study.example", "study.example:8000" */
    size_t n_names;
} ae_gate;

/* Whether the value of a Host header is this server; NULL is not. */
bool ae_gate_host(const ae_gate *g, const char *host);
/* Whether the value of an Origin header is that of this server's page, which was loaded from `host`. */
bool ae_gate_origin(const char *origin, const char *host);
/* Whether a request with this Sec-Fetch-Site (NULL: an older browser, or none) comes from the server's page or from the
 * user, who opens the address. */
bool ae_gate_site(const char *site);

#endif
