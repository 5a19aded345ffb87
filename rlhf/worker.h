#ifndef AE_RLHF_WORKER_H
#define AE_RLHF_WORKER_H
#include "core/status.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A program that runs beside this one and is spoken to in lines: one child with pipes to its standard input,
 * output and error. Nothing here waits for it but ae_worker_stop: what is sent goes into a queue, and poll(2)
 * says what moves, so that no pipe that is full stops both. */

typedef struct {
    char *bytes;
    size_t n, room, taken; /* bytes [taken, n) are there */
} ae_worker_text;

enum { AE_WORKER_PIPES = 3, AE_WORKER_WORDS = 256 };

typedef struct {
    pid_t pid;                        /* 0: none runs */
    int pipes[AE_WORKER_PIPES];       /* our ends of its descriptors 0 to 2; -1: closed */
    ae_worker_text sent, out, err;    /* not yet written to it; not yet taken of what it wrote */
    char last_words[AE_WORKER_WORDS]; /* its last line on standard error; "" */
} ae_worker;

/* No child, nothing sent. */
void ae_worker_init(ae_worker *w);
/* argv ends with NULL; a name without a slash is looked for in PATH. `folder` becomes the child's working directory, from
 * which a name with a slash counts; NULL: it stays. The child is the head of a process group of
 * its own, so that Ctrl-C at a terminal reaches this program alone; signals are as they are by default there, and
 * it inherits no other descriptor. AE_ERR_INPUT "where: ..." for a program that is not there. */
ae_status ae_worker_start(ae_worker *w, const char *const *argv, const char *folder, const char *where);
/* Whether such a program is there: what ae_worker_start would refuse for that. Starts none. */
ae_status ae_worker_check(const char *program, const char *folder, const char *where);
bool ae_worker_runs(const ae_worker *w);

/* Puts text into the queue: AE_ERR_RESOURCE without memory for it. */
ae_status ae_worker_send(ae_worker *w, const char *text, size_t n);
/* What poll shall wait for, 3 entries. */
void ae_worker_polls(const ae_worker *w, struct pollfd *polls);
/* Moves what poll found ready. A child that no longer reads loses what was sent. */
ae_status ae_worker_move(ae_worker *w, const struct pollfd *polls);
/* The next line of its output, or of what it says on standard error, valid until the next ae_worker_move; false where
 * there is no whole one. The last line needs no line end. */
bool ae_worker_line(ae_worker *w, char **line, size_t *n);
bool ae_worker_words(ae_worker *w, char **line, size_t *n);
/* Whether its output has ended. */
bool ae_worker_ended(const ae_worker *w);

/* Closes the pipes: the child reads the end of its input. */
void ae_worker_hang_up(ae_worker *w);
/* Hangs up, waits up to `patience_s` for the child to end, kills its process group then, and reaps it. How it
 * ended goes to how [AE_WORKER_WORDS], such as "exit code 3"; may be NULL. What it said stays until the next
 * start. */
void ae_worker_stop(ae_worker *w, double patience_s, char *how);
/* After ae_worker_stop. */
void ae_worker_free(ae_worker *w);

#endif
