#include "core/rng.h"
#include "judge/votes.h"
#include "tests/judge/rig.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* `aerie judge serve` itself, over sockets. */

static const char *const names[] = {"north", "south"};

typedef struct {
    char *folder;
    pid_t pid;
    unsigned port;
    char token[64]; /* "/TOKEN/" */
} server;

static void start(server *s) {
    int out[2];
    char port[16], line[256] = "";
    snprintf(port, sizeof port, "%u", s->port);
    cr_assert_eq(pipe(out), 0);
    s->pid = fork();
    if (s->pid == 0) {
        dup2(out[1], 1);
        close(out[0]);
        close(out[1]);
        execl(AERIE, "aerie", "judge", "serve", s->folder, "--port", port, "--quiet", (char *)NULL);
        _exit(99);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    cr_assert_not_null(fgets(line, sizeof line, f), "the server did not start");
    fclose(f);
    cr_assert_eq(sscanf(line, "http://127.0.0.1:%u%63s", &s->port, s->token), 2, "%s", line);
}

static void stop(server *s, int number) {
    int how;
    kill(s->pid, number);
    waitpid(s->pid, &how, 0);
    if (number == SIGTERM) cr_assert(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static server server_new(int items) {
    server s = {.folder = temporary_folder()};
    write_study(s.folder, items, 2, names);
    start(&s);
    return s;
}

static void server_free(server *s) {
    stop(s, SIGTERM);
    remove_folder(s->folder);
}

/* ---- a client ---- */

static int connect_to(unsigned port) {
    const struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) == 0) return fd;
    close(fd);
    return -1;
}

static bool put(int fd, const char *text, size_t n) {
    while (n > 0) {
        const ssize_t k = send(fd, text, n, MSG_NOSIGNAL);
        if (k <= 0) return false;
        text += k;
        n -= (size_t)k;
    }
    return true;
}

/* The code of the reply, 0 without a whole head; its body in `reply`. */
static int exchange(unsigned port, const char *text, size_t n, char *reply, size_t room) {
    const int fd = connect_to(port);
    size_t got = 0;
    int code = 0;
    if (fd < 0) return 0;
    if (put(fd, text, n))
        for (ssize_t k; got + 1 < room && (k = recv(fd, reply + got, room - 1 - got, 0)) > 0;)
            got += (size_t)k;
    close(fd);
    reply[got] = '\0';
    char *body = strstr(reply, "\r\n\r\n");
    if (!body || sscanf(reply, "HTTP/1.1 %d", &code) != 1) return 0;
    const char *length = strstr(reply, "Content-Length: ");
    if (!length || strlen(body + 4) < strtoul(length + 16, NULL, 10)) return 0; /* cut off */
    memmove(reply, body + 4, strlen(body + 4) + 1);
    return code;
}

typedef struct {
    const char *method, *path, *host, *origin, *type, *more, *body;
} asked;

enum { ROOM = 1 << 17 };

static int ask(const server *s, asked a, char *reply) {
    char *text = malloc(2 * ROOM), origin[128] = "", type[128] = "", host[64];
    snprintf(host, sizeof host, "127.0.0.1:%u", s->port);
    if (a.origin) snprintf(origin, sizeof origin, "Origin: %s\r\n", a.origin);
    if (a.type) snprintf(type, sizeof type, "Content-Type: %s\r\n", a.type);
    const char *body = a.body ? a.body : "";
    const int n = snprintf(
        text, 2 * ROOM,
        "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%sConnection: close\r\nContent-Length: %zu\r\n\r\n%s", a.method,
        a.path, a.host ? a.host : host, origin, type, a.more ? a.more : "", strlen(body), body);
    const int code = exchange(s->port, text, (size_t)n, reply, ROOM);
    free(text);
    return code;
}

static int post(const server *s, const char *what, const char *body, char *reply) {
    char path[128], origin[64];
    snprintf(path, sizeof path, "%s%s", s->token, what);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%u", s->port);
    return ask(
        s,
        (asked){.method = "POST", .path = path, .origin = origin, .type = "application/json", .body = body},
        reply);
}

static int get(const server *s, const char *what, char *reply) {
    char path[256];
    snprintf(path, sizeof path, "%s%s", s->token, what);
    return ask(s, (asked){.method = "GET", .path = path}, reply);
}

static void code_is(const server *s, asked a, int code, const char *words) {
    char *reply = malloc(ROOM), path[256];
    snprintf(path, sizeof path, "%s%s", s->token, a.path);
    if (a.path[0] != '/') a.path = path;
    const int found = ask(s, a, reply);
    cr_assert_eq(found, code, "expected %d, found %d: %s", code, found, reply);
    cr_assert(strstr(reply, words), "%s", reply);
    cr_assert_eq(strchr(reply, '\n'), reply + strlen(reply) - 1, "not one line: %s", reply);
    free(reply);
}

/* ---- who may ---- */

static const char a_vote[] =
    "{\"view\":\"00000000000000000000000000000000\",\"at\":0,\"rater\":\"eve\",\"choice\":1}";

Test(server, only_its_own_page_may_vote) {
    server s = server_new(3);
    char *reply = malloc(ROOM), origin[64], *path = ae_path_join(s.folder, "votes.jsonl");
    snprintf(origin, sizeof origin, "http://127.0.0.1:%u", s.port);
    const asked fine = {
        .method = "POST", .path = "vote", .origin = origin, .type = "application/json", .body = a_vote};
    asked a = fine;
    a.path = "/00000000000000000000000000000000/vote";
    code_is(&s, a, 403, "with its token");
    a.path = "/vote";
    code_is(&s, a, 403, "with its token");
    a = fine;
    a.host = "evil.example"; /* a name that leads here */
    code_is(&s, a, 403, "Host:");
    a.origin = "http://evil.example";
    code_is(&s, a, 403, "Host:");
    a.host = NULL;
    code_is(&s, a, 403, "Origin:");
    a.origin = NULL;
    code_is(&s, a, 403, "Origin:");
    a.origin = "null";
    code_is(&s, a, 403, "Origin:");
    a = fine;
    a.type = "text/plain"; /* what a form can send */
    code_is(&s, a, 415, "application/json");
    a = fine;
    a.more = "Sec-Fetch-Site: cross-site\r\n";
    code_is(&s, a, 403, "Sec-Fetch-Site:");
    code_is(&s, (asked){.method = "GET", .path = "next?rater=eve", .host = "evil.example:80"}, 403, "Host:");
    cr_assert_eq(ae_file_size(path), 0, "one of them has voted");
    cr_assert_eq(post(&s, "vote", a_vote, reply), 200);
    cr_assert_gt(ae_file_size(path), 0);
    free(path);
    free(reply);
    server_free(&s);
}

Test(server, bad_requests) {
    server s = server_new(3);
    char *reply = malloc(ROOM), *large = malloc(100000), origin[64];
    snprintf(origin, sizeof origin, "http://127.0.0.1:%u", s.port);
    asked a = {.method = "POST", .path = "vote", .origin = origin, .type = "application/json", .body = "{"};
    code_is(&s, a, 400, "request: expected JSON");
    a.body = "[]";
    code_is(&s, a, 400, "expected an object");
    a.body = "{\"at\": 1, \"at\": 2}";
    code_is(&s, a, 400, "duplicate");
    a.body = NULL;
    code_is(&s, a, 400, "request");
    memset(large, ' ', 99999);
    large[99999] = '\0';
    a.body = large;
    code_is(&s, a, 413, "64 kB");
    a.body = "{}";
    a.path = "votes";
    code_is(&s, a, 404, "no such page");
    code_is(&s, (asked){.method = "GET", .path = "../study.json"}, 404, "no such page");
    code_is(&s, (asked){.method = "GET", .path = "vote"}, 404, "no such page");
    code_is(&s, (asked){.method = "PUT", .path = "vote"}, 405, "GET or POST");
    code_is(&s, (asked){.method = "GET", .path = "next"}, 400, "rater: expected a name");
    cr_assert_eq(get(&s, "", reply), 200);
    cr_assert(strstr(reply, "<!DOCTYPE html>"));
    cr_assert_eq(get(&s, "page.js", reply), 200);
    cr_assert_null(strstr(reply, "http://"), "the page asks other hosts");
    cr_assert_null(strstr(reply, "innerHTML"));
    cr_assert_eq(get(&s, "page.css", reply), 200);
    free(large);
    free(reply);
    server_free(&s);
}

/* Half a request, and silence, keeps nobody else waiting. */
Test(server, a_client_that_stops_halfway) {
    server s = server_new(3);
    char *reply = malloc(ROOM);
    int open[20];
    for (int i = 0; i < 20; i++) {
        open[i] = connect_to(s.port);
        cr_assert(open[i] >= 0 && put(open[i], "POST /", (size_t)(i % 6)));
    }
    cr_assert_eq(get(&s, "next?rater=anna", reply), 200);
    for (int i = 0; i < 20; i++) close(open[i]);
    free(reply);
    server_free(&s);
}

/* ---- kills ---- */

enum { ITEMS = 120, KILLS = 20, RATERS = 2 };

typedef struct {
    server *server;
    pthread_mutex_t *mutex; /* of the port and token, which a start writes again */
    const char *name;
    int choices[ITEMS]; /* by `at` */
    int lost;           /* replies that were not waited for */
} rater;

static server now(const rater *r) {
    pthread_mutex_lock(r->mutex);
    const server s = *r->server;
    pthread_mutex_unlock(r->mutex);
    return s;
}

/* Sends a vote and does not wait for what comes of it. */
static void send_and_leave(const server *s, const char *body) {
    char text[2048];
    const int fd = connect_to(s->port);
    const int n = snprintf(text, sizeof text,
                           "POST %svote HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nOrigin: http://127.0.0.1:%u\r\n"
                           "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                           s->token, s->port, s->port, strlen(body), body);
    if (fd >= 0) put(fd, text, (size_t)n);
    if (fd >= 0) close(fd);
}

static void *vote_on_all(void *context) {
    rater *r = context;
    char *reply = malloc(ROOM), path[64], body[1024];
    ae_rng draw = ae_rng_make(11, ae_rng_hash(11, r->name));
    snprintf(path, sizeof path, "next?rater=%s", r->name);
    for (;;) {
        server s = now(r);
        if (get(&s, path, reply) != 200) continue; /* killed */
        json_t *pair = json_loads(reply, 0, NULL);
        const char *view = json_string_value(json_object_get(pair, "view"));
        const int at = (int)json_integer_value(json_object_get(pair, "at"));
        if (!view) {
            json_decref(pair);
            break;
        }
        r->choices[at] = (int)ae_rng_below(&draw, 5) - 2;
        snprintf(body, sizeof body, "{\"view\":\"%s\",\"at\":%d,\"rater\":\"%s\",\"choice\":%d}", view, at,
                 r->name, r->choices[at]);
        json_decref(pair);
        if (ae_rng_below(&draw, 4) == 0) {
            send_and_leave(&s, body);
            r->lost++;
        }
        for (int code = 0; code != 200;) {
            s = now(r);
            code = post(&s, "vote", body, reply);
            cr_assert(code == 200 || code == 0, "%d: %s", code, reply);
        }
    }
    free(reply);
    return NULL;
}

static void check_votes(const server *s, const rater *raters) {
    ae_study study;
    ae_votes votes;
    cr_assert_eq(ae_study_open(&study, s->folder), AE_OK);
    cr_assert_eq(ae_votes_read(&votes, &study, NULL), AE_OK, "%s", ae_error_message());
    cr_assert_eq(votes.n, (size_t)(ITEMS * RATERS), "%zu votes", votes.n);
    for (int k = 0; k < RATERS; k++)
        for (ptrdiff_t at = 0; at < study.n_comparisons; at++) {
            const ae_vote *v = ae_votes_find(&votes, raters[k].name, &study.comparisons[at]);
            cr_assert(v && v->choice == raters[k].choices[at], "%s, %td", raters[k].name, at);
        }
    ae_votes_free(&votes);
    ae_study_free(&study);
}

/* Two raters vote while the server is killed at random; each sends a vote again until it is told that it is there. */
Test(server, no_vote_is_lost_or_doubled) {
    server s = server_new(ITEMS);
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    rater raters[RATERS] = {{.server = &s, .mutex = &mutex, .name = "anna"},
                            {.server = &s, .mutex = &mutex, .name = "ben"}};
    pthread_t threads[RATERS];
    ae_rng draw = ae_rng_make(12, 1);
    for (int k = 0; k < RATERS; k++) pthread_create(&threads[k], NULL, vote_on_all, &raters[k]);
    for (int i = 0; i < KILLS; i++) {
        usleep(2000 + (useconds_t)ae_rng_below(&draw, 40000));
        stop(&s, SIGKILL);
        pthread_mutex_lock(&mutex);
        start(&s);
        pthread_mutex_unlock(&mutex);
    }
    for (int k = 0; k < RATERS; k++) pthread_join(threads[k], NULL);
    check_votes(&s, raters);
    cr_assert_gt(raters[0].lost + raters[1].lost, 20);
    server_free(&s);
}
