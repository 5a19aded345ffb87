#include "cli/args.h"
#include "cli/interrupt.h"
#include "cli/judge_verbs.h"
#include "core/file.h"
#include "core/log.h"
#include "judge/server.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] = "aerie judge serve DIR [--port N] [--bind ADDR] [--flags]\n\n"
                            "Serves the page of a study and prints its address; Ctrl-C ends it. Who has the "
                            "address may vote, under any name. It\n"
                            "stays the same when the study is served again. Each vote is in DIR/votes.jsonl, "
                            "and on the disk, before the page goes\n"
                            "on. Models stay hidden, and the sides are drawn anew for each view.";

typedef struct {
    const char *bind;
    int64_t port;
    bool new_token, quiet;
    ae_arg_list words, hosts;
} options;

/* ---- the token ---- */

static ae_status write_token(const char *path, char token[AE_TOKEN_BYTES]) {
    ae_status st = ae_view_draw(token);
    if (st != AE_OK) return st;
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return ae_output_failed(path);
    const size_t n = AE_TOKEN_BYTES - 1;
    const bool written = fchmod(fd, 0600) == 0 && write(fd, token, n) == (ssize_t)n && fsync(fd) == 0;
    if (!written) st = ae_output_failed(path);
    close(fd);
    return st;
}

/* DIR/token, which nobody else may read. It is kept, so that pages that are open find a server that was started again. */
static ae_status take_token(const char *folder, bool anew, char token[AE_TOKEN_BYTES]) {
    char *path = ae_path_join(folder, "token"), *text = NULL;
    size_t n = 0;
    ae_status st;
    if (anew || !ae_path_exists(path)) {
        st = write_token(path, token);
        goto out;
    }
    AE_TRY(ae_file_read(path, &text, &n));
    if (n != AE_TOKEN_BYTES - 1 || strspn(text, "0123456789abcdef") != n)
        AE_TRY(AE_FAIL(AE_ERR_INPUT,
                       "%s: expected %d hexadecimal digits, found another text; --new-token draws one", path,
                       AE_TOKEN_BYTES - 1));
    memcpy(token, text, AE_TOKEN_BYTES);
out:
    free(text);
    free(path);
    return st;
}

/* ---- serving ---- */

static void warn_of_bind(const char *bind) {
    if (strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0) return;
    ae_warn("--bind %s: other machines reach this page; who has its address may read and vote, and HTTP is "
            "not encrypted",
            bind);
    if (strcmp(bind, "0.0.0.0") == 0 || strcmp(bind, "::") == 0)
        ae_log("for others, put an address of this machine in the place of %s; --host allows its name", bind);
}

static ae_status serve_study(const options *o, ae_ballot *b, const char *token) {
    const ae_server_options how = {.bind = o->bind,
                                   .port = (unsigned)o->port,
                                   .token = token,
                                   .names = o->hosts.items,
                                   .n_names = o->hosts.n};
    ae_server *server = NULL;
    ae_status st = ae_server_new(&server, b, &how);
    if (st != AE_OK) return st;
    warn_of_bind(o->bind);
    printf("%s\n", ae_server_address(server));
    fflush(stdout);
    ae_log("%s: %td prompts, %d models, %td pairs to judge; Ctrl-C ends the server", b->study.folder,
           b->study.n_items, b->study.n_models, b->study.n_comparisons);
    while (st == AE_OK && ae_interrupt_check() == AE_OK) st = ae_server_run(server);
    ae_server_delete(server);
    return st;
}

static ae_status serve(const options *o) {
    ae_ballot ballot = {.file = -1};
    char token[AE_TOKEN_BYTES] = "";
    ae_status st;
    ae_log_quiet(o->quiet);
    ae_interrupt_catch();
    if (o->words.n != 1)
        AE_TRY(AE_FAIL(AE_ERR_USAGE, "expected the folder of one study, found %s",
                       o->words.n ? "several" : "none"));
    AE_TRY(ae_ballot_open(&ballot, o->words.items[0]));
    AE_TRY(take_token(o->words.items[0], o->new_token, token));
    AE_TRY(serve_study(o, &ballot, token));
out:
    ae_ballot_close(&ballot);
    return st;
}

ae_status ae_judge_serve(int argc, char **argv) {
    options o = {.bind = "127.0.0.1", .port = 8765};
    bool help = false;
    const ae_arg table[] = {
        {.name = "port",
         .type = AE_ARG_INT,
         .to = &o.port,
         .min = 0,
         .max = 65535,
         .fallback = "8765",
         .help = "0: a free one"},
        {.name = "bind",
         .type = AE_ARG_TEXT,
         .to = &o.bind,
         .value = "ADDR",
         .fallback = "127.0.0.1",
         .help =
             "the address to listen at; another than this machine's own loopback opens the page to others"},
        {.name = "host",
         .type = AE_ARG_LIST,
         .to = &o.hosts,
         .value = "NAME",
         .help = "a name, with a port where it is another, that browsers may know this server by"},
        {.name = "new-token",
         .type = AE_ARG_FLAG,
         .to = &o.new_token,
         .help = "draw a new token: addresses given out before no longer hold"},
        ae_arg_quiet(&o.quiet),
    };
    const size_t n = sizeof table / sizeof *table;
    ae_status st = ae_args_parse(argc, argv, table, n, &o.words, &help);
    if (st == AE_OK && help) ae_args_help(usage, table, n, stdout);
    if (st == AE_OK && !help) st = serve(&o);
    ae_arg_list_free(&o.words);
    ae_arg_list_free(&o.hosts);
    return st;
}
