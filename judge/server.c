#include "judge/server.h"

#include "judge/page.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BODY_BYTES_MAX = 65536,
    CONNECTIONS_MAX = 200,
    HEADER_BYTES = 32768,
    SILENCE_S = 60, /* a connection without a word is closed after it */
    WAIT_MS = 250,
    ADDRESS_BYTES = 256
};

struct ae_server {
    ae_ballot *ballot;
    ae_server_options options;
    struct MHD_Daemon *daemon;
    int socket;
    char address[ADDRESS_BYTES];
};

/* What has come of a request. */
typedef struct {
    char *body;
    size_t n;
    bool too_long;
} incoming;

/* ---- replies ---- */

static void add_headers(struct MHD_Response *r, const char *type) {
    static const char *const headers[][2] = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
         "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cache-Control", "no-store"},
    };
    MHD_add_response_header(r, "Content-Type", type);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        MHD_add_response_header(r, headers[i][0], headers[i][1]);
}

static enum MHD_Result send_response(struct MHD_Connection *c, unsigned code, const char *type,
                                     struct MHD_Response *r) {
    if (!r) return MHD_NO;
    add_headers(r, type);
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED) MHD_add_response_header(r, "Allow", "GET, POST");
    const enum MHD_Result sent = MHD_queue_response(c, code, r);
    MHD_destroy_response(r);
    return sent;
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned code, const char *line) {
    char text[AE_MESSAGE_BYTES + 1];
    const int n = snprintf(text, sizeof text, "%s\n", line);
    return send_response(c, code, "text/plain; charset=utf-8",
                         MHD_create_response_from_buffer((size_t)n, text, MHD_RESPMEM_MUST_COPY));
}

static unsigned code_of(ae_status st) {
    return st == AE_ERR_INPUT ? MHD_HTTP_BAD_REQUEST : st == AE_ERR_USAGE ? MHD_HTTP_CONFLICT : 507;
}

/* The reply of the ballot, which is dropped. */
static enum MHD_Result answer(struct MHD_Connection *c, ae_status st, json_t *reply) {
    char *text = st == AE_OK ? json_dumps(reply, JSON_COMPACT) : NULL;
    json_decref(reply);
    if (st != AE_OK) return refuse(c, code_of(st), ae_error_message());
    if (!text) return refuse(c, 507, "reply: out of memory");
    return send_response(c, MHD_HTTP_OK, "application/json",
                         MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE));
}

/* ---- who asks ---- */

static const char *header(struct MHD_Connection *c, const char *name) {
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* An address of version 4 that came through a socket of version 6 is one of version 4. */
static bool address_text(const struct sockaddr *a, socklen_t n, char *text, size_t bytes) {
    if (getnameinfo(a, n, text, (socklen_t)bytes, NULL, 0, NI_NUMERICHOST) != 0) return false;
    if (strncasecmp(text, "::ffff:", 7) == 0) memmove(text, text + 7, strlen(text + 7) + 1);
    return true;
}

static unsigned port_of(const struct sockaddr_storage *a) {
    return ntohs(a->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)a)->sin6_port
                                          : ((const struct sockaddr_in *)(const void *)a)->sin_port);
}

static bool host_is_ours(const ae_server *s, struct MHD_Connection *c) {
    struct sockaddr_storage here;
    socklen_t n = sizeof here;
    char reached[ADDRESS_BYTES];
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info || getsockname(info->connect_fd, (struct sockaddr *)&here, &n) != 0) return false;
    if (!address_text((struct sockaddr *)&here, n, reached, sizeof reached)) return false;
    const ae_gate gate = {reached, port_of(&here), s->options.names, s->options.n_names};
    return ae_gate_host(&gate, header(c, "Host"));
}

/* ---- requests ---- */

static enum MHD_Result send_file(struct MHD_Connection *c, const ae_page_file *f) {
    return send_response(
        c, MHD_HTTP_OK, f->type,
        MHD_create_response_from_buffer(f->n, (void *)(size_t)f->bytes, MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result get(ae_server *s, struct MHD_Connection *c, const char *path) {
    json_t *reply = NULL;
    for (size_t i = 0; i < ae_page_n_files; i++)
        if (strcmp(path, ae_page_files[i].name) == 0) return send_file(c, &ae_page_files[i]);
    if (strcmp(path, "next") != 0) return refuse(c, MHD_HTTP_NOT_FOUND, "no such page");
    const char *rater = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "rater");
    const ae_status st = ae_ballot_next(s->ballot, rater, &reply);
    return answer(c, st, reply);
}

static enum MHD_Result post(ae_server *s, struct MHD_Connection *c, const char *path, const incoming *in) {
    const char *type = header(c, "Content-Type");
    const bool is_undo = strcmp(path, "undo") == 0;
    json_t *request = NULL, *reply = NULL;
    if (!is_undo && strcmp(path, "vote") != 0) return refuse(c, MHD_HTTP_NOT_FOUND, "no such page");
    if (!ae_gate_origin(header(c, "Origin"), header(c, "Host")))
        return refuse(c, MHD_HTTP_FORBIDDEN,
                      "Origin: expected the page of this server, found another or none");
    if (!type || strncasecmp(type, "application/json", 16) != 0)
        return refuse(c, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                      "Content-Type: expected application/json, found another");
    if (in->too_long) return refuse(c, MHD_HTTP_CONTENT_TOO_LARGE, "expected at most 64 kB, found more");
    ae_status st = ae_json_parse(&request, in->body ? in->body : "", in->n, "request");
    if (st == AE_OK && !json_is_object(request))
        st = AE_FAIL(AE_ERR_INPUT, "request: expected an object, found %s", ae_json_type_name(request));
    if (st == AE_OK) st = (is_undo ? ae_ballot_undo : ae_ballot_vote)(s->ballot, request, &reply);
    json_decref(request);
    return answer(c, st, reply);
}

static enum MHD_Result reply_to(ae_server *s, struct MHD_Connection *c, const char *url, const char *method,
                                const incoming *in) {
    const char *path = ae_gate_path(url, s->options.token);
    if (!host_is_ours(s, c))
        return refuse(c, MHD_HTTP_FORBIDDEN,
                      "Host: expected the address of this server, found another; --host allows one");
    if (!path)
        return refuse(c, MHD_HTTP_FORBIDDEN,
                      "expected the address that aerie judge serve printed, with its token");
    if (!ae_gate_site(header(c, "Sec-Fetch-Site")))
        return refuse(c, MHD_HTTP_FORBIDDEN,
                      "Sec-Fetch-Site: expected a request of this page, found one of another");
    if (strcmp(method, "GET") == 0) return get(s, c, path);
    if (strcmp(method, "POST") == 0) return post(s, c, path, in);
    return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "expected GET or POST");
}

static bool take_part(incoming *in, const char *part, size_t n) {
    in->too_long |= in->n + n > BODY_BYTES_MAX;
    if (in->too_long) return true; /* read on, keep nothing */
    char *grown = realloc(in->body, in->n + n + 1);
    if (!grown) return false;
    memcpy(grown + in->n, part, n);
    in->body = grown;
    in->n += n;
    return true;
}

/* libmicrohttpd calls it when the headers are there, for each part of a body, and once more when all is. */
static enum MHD_Result handle(void *server, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version, const char *part, size_t *part_bytes, void **state) {
    (void)version;
    incoming *in = *state;
    if (!in) {
        *state = calloc(1, sizeof *in);
        return *state ? MHD_YES : MHD_NO;
    }
    if (*part_bytes == 0) return reply_to(server, c, url, method, in);
    const size_t n = *part_bytes;
    *part_bytes = 0;
    return take_part(in, part, n) ? MHD_YES : MHD_NO;
}

static void forget(void *server, struct MHD_Connection *c, void **state,
                   enum MHD_RequestTerminationCode why) {
    (void)server;
    (void)c;
    (void)why;
    incoming *in = *state;
    if (in) free(in->body);
    free(in);
    *state = NULL;
}

/* ---- the socket ---- */

static ae_status listen_at(ae_server *s, const struct addrinfo *a) {
    const int on = 1;
    s->socket = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->socket < 0) return AE_FAIL(AE_ERR_RESOURCE, "serve: no socket: %s", strerror(errno));
    setsockopt(s->socket, SOL_SOCKET, SO_REUSEADDR, &on,
               sizeof on); /* connections of a server before it linger */
    if (bind(s->socket, a->ai_addr, a->ai_addrlen) == 0 && listen(s->socket, SOMAXCONN) == 0) return AE_OK;
    const int code = errno;
    return AE_FAIL(AE_ERR_USAGE, "%s port %u: expected an address to listen at, found: %s%s", s->options.bind,
                   s->options.port, strerror(code), code == EADDRINUSE ? "; --port 0 takes a free one" : "");
}

static ae_status open_socket(ae_server *s) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[16];
    snprintf(port, sizeof port, "%u", s->options.port);
    if (getaddrinfo(s->options.bind, port, &hints, &found) != 0)
        return AE_FAIL(AE_ERR_USAGE, "--bind: expected an address such as 127.0.0.1 or ::1, found %s",
                       s->options.bind);
    const ae_status st = listen_at(s, found);
    freeaddrinfo(found);
    return st;
}

static ae_status note_address(ae_server *s) {
    struct sockaddr_storage here;
    socklen_t n = sizeof here;
    char text[ADDRESS_BYTES / 2];
    if (getsockname(s->socket, (struct sockaddr *)&here, &n) != 0 ||
        !address_text((struct sockaddr *)&here, n, text, sizeof text))
        return AE_FAIL(AE_ERR_RESOURCE, "serve: the socket has no address: %s", strerror(errno));
    snprintf(s->address, sizeof s->address, strchr(text, ':') ? "http://[%s]:%u/%s/" : "http://%s:%u/%s/",
             text, port_of(&here), s->options.token);
    return AE_OK;
}

ae_status ae_server_new(ae_server **out, ae_ballot *b, const ae_server_options *o) {
    ae_server *s = calloc(1, sizeof *s);
    ae_status st;
    *out = NULL;
    if (!s) return AE_FAIL(AE_ERR_RESOURCE, "serve: out of memory");
    *s = (ae_server){.ballot = b, .options = *o, .socket = -1};
    AE_TRY(open_socket(s));
    AE_TRY(note_address(s));
    s->daemon = MHD_start_daemon(MHD_NO_FLAG, 0, NULL, NULL, handle, s, MHD_OPTION_LISTEN_SOCKET, s->socket,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                                 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_BYTES,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
                                 MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_END);
    if (!s->daemon) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "serve: libmicrohttpd did not start"));
    *out = s;
    return AE_OK;
out:
    ae_server_delete(s);
    return st;
}

const char *ae_server_address(const ae_server *s) {
    return s->address;
}

ae_status ae_server_run(ae_server *s) {
    if (MHD_run_wait(s->daemon, WAIT_MS) == MHD_YES || errno == EINTR) return AE_OK;
    return AE_FAIL(AE_ERR_RESOURCE, "serve: waiting for requests failed: %s", strerror(errno));
}

/* The daemon closes the socket that it was given. */
void ae_server_delete(ae_server *s) {
    if (!s) return;
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    else if (s->socket >= 0)
        close(s->socket);
    free(s);
}
