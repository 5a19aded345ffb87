#ifndef AE_CLI_PASTE_H
#define AE_CLI_PASTE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Text that is pasted at a prompt stays one message: terminals put marks around it when asked to ("bracketed
 * paste"). Until the line is taken a line end of such text stands in it as U+21B5, a tab as U+21E5; other
 * control characters are left out. */
typedef struct {
    bool inside;
    char held[8]; /* bytes that come next, ahead of those of the terminal */
    size_t n, given;
} ae_paste;

/* Asks the terminal for the marks, or no longer. Nothing where TERM names none that would know. */
void ae_paste_ask(FILE *terminal, bool on);

/* Reads a byte within `patience_ms` (-1: whenever it comes): 1; at the end 0; without one -1. */
typedef int ae_next_byte(void *context, int patience_ms, char *byte);
/* The next byte for the line, with what `next` returned. */
int ae_paste_next(ae_paste *p, ae_next_byte *next, void *context, char *byte);

/* The line as it is meant, in its place; its new length. */
size_t ae_paste_restore(char *line, size_t n);

#endif
