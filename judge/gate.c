#include "judge/gate.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *ae_gate_path(const char *url, const char *token) {
    const size_t n = AE_TOKEN_BYTES - 1;
    if (strlen(url) < n + 2 || url[0] != '/' || url[n + 1] != '/') return NULL;
    unsigned char differ = 0;
    for (size_t i = 0; i < n; i++) differ |= (unsigned char)url[i + 1] ^ (unsigned char)token[i];
    return differ == 0 ? url + n + 2 : NULL;
}

/* "NAME" or "[NAME]" of an address of version 6, with ":PORT", which may be missing where it is 80. */
static bool is_place(const char *host, const char *name, unsigned port) {
    char with[300];
    const bool is_6 = strchr(name, ':') != NULL;
    const int n = snprintf(with, sizeof with, is_6 ? "[%s]:%u" : "%s:%u", name, port);
    if (n < 0 || (size_t)n >= sizeof with) return false;
    if (strcasecmp(host, with) == 0) return true;
    *strrchr(with, ':') = '\0';
    return port == 80 && strcasecmp(host, with) == 0;
}

bool ae_gate_host(const ae_gate *g, const char *host) {
    if (!host) return false;
    if (is_place(host, g->reached, g->port)) return true;
    const bool is_loopback = strncmp(g->reached, "127.", 4) == 0 || strcmp(g->reached, "::1") == 0;
    if (is_loopback && is_place(host, "localhost", g->port)) return true;
    for (size_t i = 0; i < g->n_names; i++)
        if (strcasecmp(host, g->names[i]) == 0 || is_place(host, g->names[i], g->port)) return true;
    return false;
}

/* With https it came through a proxy that keeps Host. */
bool ae_gate_origin(const char *origin, const char *host) {
    if (!origin || !host) return false;
    if (strncmp(origin, "http://", 7) == 0) return strcasecmp(origin + 7, host) == 0;
    return strncmp(origin, "https://", 8) == 0 && strcasecmp(origin + 8, host) == 0;
}

bool ae_gate_site(const char *site) {
    return !site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
}
