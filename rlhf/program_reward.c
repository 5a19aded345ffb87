#include "rlhf/program_reward.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/log.h"
#include "data/utf8.h"
#include "rlhf/program_lines.h"
#include "rlhf/worker.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WORKERS = 64, MOST_WORDS = 256, LONGEST_LINE = 1 << 20 };

/* One worker and the answers that it owes. */
typedef struct {
    ae_worker process;
    int64_t line;     /* of its output, from 1: the last one taken */
    ptrdiff_t owes;   /* answers that wait for it */
    double waiting_s; /* since when, or since its last line */
} worker;

typedef struct {
    char *where, *command; /* the command as people read it */
    char *folder;          /* NULL: that of the run */
    const char **argv;     /* borrowed from the list, or of sh */
    json_t *list;
    ae_status (*check)(void);
    int64_t n_workers;
    double timeout_s;
    int skips; /* on_error: skip */
    worker *workers;
    int64_t next_id;
} program;

/* The answers of one call. */
typedef struct {
    program *p;
    double *rewards;
    bool *waits; /* [n] */
    ptrdiff_t n, owed;
    int64_t first_id;
    int64_t faults;
    char first_fault[AE_MESSAGE_BYTES];
} call;

/* ---- keys ---- */

/* All hang up before the first one is waited for, so that they end side by side. */
static void stop_workers(program *p) {
    const double until = ae_now_s() + 1;
    for (int64_t i = 0; i < p->n_workers; i++) ae_worker_hang_up(&p->workers[i].process);
    for (int64_t i = 0; i < p->n_workers; i++) {
        ae_worker_stop(&p->workers[i].process, fmax(0, until - ae_now_s()), NULL);
        ae_worker_free(&p->workers[i].process);
    }
}

static void program_close(void *self) {
    program *p = self;
    if (!p) return;
    if (p->workers) stop_workers(p);
    json_decref(p->list);
    free(p->workers);
    free(p->argv);
    free(p->command);
    free(p->folder);
    free(p->where);
    free(p);
}

static bool is_command(const json_t *v) {
    size_t i;
    const json_t *word;
    if (json_is_string(v)) return json_string_length(v) > 0;
    if (json_string_length(json_array_get(v, 0)) == 0) return false;
    json_array_foreach(v, i, word) if (!json_is_string(word)) return false;
    return true;
}

/* The words of a command with blanks between them, or the beginning of that. */
static char *shown(const json_t *v) {
    enum { LONG = 100 };
    char text[LONG + 4] = "";
    size_t used = 0;
    for (size_t i = 0; i < json_array_size(v) && used < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i ? " " : "",
                                 json_string_value(json_array_get(v, i)));
    if (json_is_string(v)) used = (size_t)snprintf(text, sizeof text, "%s", json_string_value(v));
    if (used > LONG) strcpy(text + LONG, "...");
    return strdup(text);
}

static ae_status read_command(program *p, const json_t *o) {
    const json_t *v = json_object_get(o, "command");
    if (!is_command(v))
        return AE_FAIL(AE_ERR_USAGE,
                       "%s.command: expected text for the shell, or a list of a program and its "
                       "arguments, found %s",
                       p->where,
                       json_is_array(v) ? "an entry that is no text, or no program" : ae_json_type_name(v));
    const size_t n = json_array_size(v);
    p->list = json_deep_copy(v);
    p->command = shown(v);
    p->argv = calloc(n + 4, sizeof *p->argv);
    if (!p->list || !p->command || !p->argv) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", p->where);
    for (size_t i = 0; i < n; i++) p->argv[i] = json_string_value(json_array_get(p->list, i));
    if (json_is_string(v)) {
        p->argv[0] = "/bin/sh";
        p->argv[1] = "-c";
        p->argv[2] = json_string_value(p->list);
    }
    return AE_OK;
}

/* What stands in a text for the shell is the shell's to find. */
static ae_status check_there(const program *p) {
    char where[64];
    snprintf(where, sizeof where, "%s.command", p->where);
    if (p->folder && !ae_path_is_folder(p->folder))
        return AE_FAIL(AE_ERR_INPUT, "%s.folder: %s: expected a folder, found none", p->where, p->folder);
    return json_is_array(p->list) ? ae_worker_check(p->argv[0], p->folder, where) : AE_OK;
}

static ae_status program_open(void **self, const json_t *o, const char *where,
                              const ae_rewards_facts *facts) {
    static const char *const choices[] = {"stop", "skip"};
    program *p = *self = calloc(1, sizeof *p);
    ae_status st = AE_OK;
    if (!p || !(p->where = strdup(where))) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where);
    p->n_workers = 1;
    p->timeout_s = 60;
    p->check = facts->check;
    AE_TRY(read_command(p, o));
    AE_TRY(ae_reward_key_text(o, "folder", where, &p->folder));
    AE_TRY(ae_reward_key_int(o, "workers", where, 1, MOST_WORKERS, &p->n_workers));
    AE_TRY(ae_reward_key_real(o, "timeout_s", where, 0.01, 1e6, &p->timeout_s));
    AE_TRY(ae_reward_key_choice(o, "on_error", where, choices, 2, &p->skips));
    AE_TRY(check_there(p));
    p->workers = calloc((size_t)p->n_workers, sizeof *p->workers);
    if (!p->workers) AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", where));
    for (int64_t i = 0; i < p->n_workers; i++) ae_worker_init(&p->workers[i].process);
out:
    return st;
}

static ae_status start_worker(program *p, worker *w) {
    char where[64];
    snprintf(where, sizeof where, "%s.command", p->where);
    w->line = 0;
    return ae_worker_start(&w->process, p->argv, p->folder, where);
}

static ae_status program_start(void *self) {
    program *p = self;
    ae_status st = check_there(p);
    for (int64_t i = 0; i < p->n_workers && st == AE_OK; i++)
        if (!ae_worker_runs(&p->workers[i].process)) st = start_worker(p, &p->workers[i]);
    return st;
}

/* ---- faults ---- */

/* "rl.rewards[0]: ./judge --strict", with the number of the worker where there are several. */
static void tell_who(const program *p, const worker *w, char *who, size_t n) {
    if (p->n_workers == 1)
        snprintf(who, n, "%s: %s", p->where, p->command);
    else
        snprintf(who, n, "%s: %s, worker %td", p->where, p->command, w - p->workers + 1);
}

/* Counts one that is skipped, or fails with it; the message is kept already. */
static ae_status fault(call *c) {
    if (!c->p->skips) return AE_ERR_INPUT;
    if (c->faults++ == 0) snprintf(c->first_fault, sizeof c->first_fault, "%s", ae_error_message());
    return AE_OK;
}

static void log_words(const program *p, worker *w) {
    char *line;
    size_t n;
    while (ae_worker_words(&w->process, &line, &n)) ae_log("%s: %.*s", p->where, (int)n, line);
}

/* What it says on standard error while it ends, for a moment. */
static void hear_out(const program *p, worker *w) {
    const double until = ae_now_s() + 0.3;
    struct pollfd polls[AE_WORKER_PIPES];
    for (double left = 0.3; left > 0; left = until - ae_now_s()) {
        ae_worker_polls(&w->process, polls);
        polls[0].fd = polls[1].fd = -1;
        if (polls[2].fd < 0 || poll(polls, AE_WORKER_PIPES, (int)(left * 1e3) + 1) < 0) break;
        if (ae_worker_move(&w->process, polls) != AE_OK) break;
        log_words(p, w);
    }
}

/* The worker cannot go on: whatever waits for it stays without a reward. */
static ae_status give_up(call *c, worker *w, double patience_s, const char *found) {
    const program *p = c->p;
    const ptrdiff_t owes = w->owes;
    char who[MOST_WORDS], how[AE_WORKER_WORDS];
    tell_who(p, w, who, sizeof who);
    hear_out(p, w);
    ae_worker_stop(&w->process, patience_s, how);
    for (ptrdiff_t k = w - p->workers; k < c->n; k += p->n_workers) c->waits[k] = false;
    c->owed -= owes;
    w->owes = 0;
    const char *words = w->process.last_words;
    ae_fail_at(__FILE__, __LINE__, "%s: expected {\"id\", \"reward\"} of %td more answer%s, found %s%s%s%s%s",
               who, owes, ae_plural(owes), found, patience_s > 0 ? how : "",
               *words ? "; it said last: \"" : "", words, *words ? "\"" : "");
    return fault(c);
}

/* ---- lines of the program ---- */

static ae_status take_line(call *c, worker *w, const char *line, size_t n) {
    const program *p = c->p;
    char who[MOST_WORDS], where[MOST_WORDS + 64];
    int64_t id = 0;
    double reward = NAN;
    tell_who(p, w, who, sizeof who);
    snprintf(where, sizeof where, "%s, line %lld of its output", who, (long long)++w->line);
    if (ae_program_line_id(line, n, where, &id) != AE_OK) return fault(c);
    const int64_t k = id - c->first_id;
    if (k < 0 || k >= c->n || k % p->n_workers != w - p->workers || !c->waits[k]) {
        ae_fail_at(__FILE__, __LINE__,
                   "%s: id: expected one of an answer that waits for its reward, found %lld%s", where,
                   (long long)id, k >= 0 && k < c->n ? ", which does not" : "");
        return fault(c);
    }
    c->waits[k] = false;
    c->owed--;
    w->owes--;
    w->waiting_s = ae_now_s();
    if (ae_program_line_reward(line, n, where, &reward) != AE_OK) return fault(c);
    c->rewards[k] = reward;
    return AE_OK;
}

static ae_status take_lines(call *c, worker *w) {
    char *line;
    size_t n;
    ae_status st = AE_OK;
    while (st == AE_OK && ae_worker_line(&w->process, &line, &n))
        st = ae_text_is_blank(line, n) ? AE_OK : take_line(c, w, line, n);
    return st;
}

/* ---- a call ---- */

/* What a worker did since the last call: under skip one that ended is stopped, for another to start. */
static ae_status look_back(program *p, worker *w) {
    struct pollfd polls[AE_WORKER_PIPES];
    ae_status st = AE_OK;
    w->owes = 0;
    if (!p->skips || !ae_worker_runs(&w->process)) return AE_OK;
    for (bool more = true; more && st == AE_OK;) {
        ae_worker_polls(&w->process, polls);
        more = poll(polls, AE_WORKER_PIPES, 0) > 0 && !ae_worker_ended(&w->process);
        if (more) st = ae_worker_move(&w->process, polls);
        log_words(p, w);
    }
    if (ae_worker_ended(&w->process)) ae_worker_stop(&w->process, 0, NULL);
    return st;
}

static ae_status hand_out(call *c, const ae_reward_input *in) {
    program *p = c->p;
    ae_status st = AE_OK;
    for (int64_t i = 0; i < p->n_workers && st == AE_OK; i++) st = look_back(p, &p->workers[i]);
    for (ptrdiff_t k = 0; k < c->n && st == AE_OK; k++) {
        worker *w = &p->workers[k % p->n_workers];
        if (!ae_worker_runs(&w->process)) st = start_worker(p, w);
        if (st == AE_OK) st = ae_program_line_send(&w->process, &in[k], c->first_id + k, p->where);
        c->waits[k] = true;
        c->owed++;
        w->owes++;
        w->waiting_s = ae_now_s();
    }
    return st;
}

/* What the worker wrote, whether it ended, whether it was silent too long. */
static ae_status look_after(call *c, worker *w, const struct pollfd *polls) {
    const program *p = c->p;
    ae_status st;
    AE_TRY(ae_worker_move(&w->process, polls));
    log_words(p, w);
    AE_TRY(take_lines(c, w));
    if (w->owes == 0) goto out;
    if (w->process.out.n - w->process.out.taken > LONGEST_LINE)
        return give_up(c, w, 0, "a line that does not end within 1 MB");
    if (ae_worker_ended(&w->process)) return give_up(c, w, 0.3, "the end of its output, ");
    if (ae_now_s() - w->waiting_s > p->timeout_s) {
        char silence[96];
        snprintf(silence, sizeof silence, "no line within timeout_s, %g s (does it flush its output?)",
                 p->timeout_s);
        return give_up(c, w, 0, silence);
    }
out:
    return st;
}

/* Milliseconds that poll may wait: until the first worker is too late, but signals are to be seen soon. */
static int patience(const program *p) {
    double least = 0.2;
    for (int64_t i = 0; i < p->n_workers; i++) {
        const worker *w = &p->workers[i];
        if (w->owes > 0) least = fmin(least, w->waiting_s + p->timeout_s - ae_now_s());
    }
    return (int)(fmax(least, 0) * 1e3) + 1;
}

static ae_status listen(call *c) {
    program *p = c->p;
    struct pollfd polls[MOST_WORKERS * AE_WORKER_PIPES];
    ae_status st = AE_OK;
    while (c->owed > 0) {
        if (p->check) AE_TRY(p->check());
        for (int64_t i = 0; i < p->n_workers; i++)
            ae_worker_polls(&p->workers[i].process, &polls[i * AE_WORKER_PIPES]);
        const int ready = poll(polls, (nfds_t)(p->n_workers * AE_WORKER_PIPES), patience(p));
        if (ready < 0 && errno != EINTR)
            AE_TRY(AE_FAIL(AE_ERR_RESOURCE, "%s: %s", p->where, strerror(errno)));
        if (ready < 0) continue;
        for (int64_t i = 0; i < p->n_workers; i++)
            AE_TRY(look_after(c, &p->workers[i], &polls[i * AE_WORKER_PIPES]));
    }
out:
    return st;
}

static ae_status program_give(void *self, const ae_reward_input *in, ptrdiff_t n, double *rewards) {
    program *p = self;
    call c = {.p = p, .rewards = rewards, .n = n, .first_id = p->next_id};
    ptrdiff_t missing = 0;
    p->next_id += n;
    c.waits = calloc((size_t)n + 1, sizeof *c.waits);
    if (!c.waits) return AE_FAIL(AE_ERR_RESOURCE, "%s: out of memory", p->where);
    ae_status st = hand_out(&c, in);
    if (st == AE_OK) st = listen(&c);
    for (ptrdiff_t k = 0; k < n; k++) missing += !isfinite(rewards[k]);
    if (st == AE_OK && c.faults > 0)
        ae_warn("%td of %td answers have no reward (on_error: skip); %s", missing, n, c.first_fault);
    free(c.waits);
    return st;
}

static const char *const program_keys[] = {"command", "folder", "workers", "timeout_s", "on_error", NULL};

const ae_reward_kind ae_reward_program = {.name = "program",
                                          .keys = program_keys,
                                          .reads_text = true,
                                          .reads_meta = true,
                                          .open = program_open,
                                          .start = program_start,
                                          .give = program_give,
                                          .close = program_close};
