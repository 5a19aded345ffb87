#include "cli/paste.h"

#include <stdlib.h>
#include <string.h>

static const char line_end[] = "\xE2\x86\xB5", tab[] = "\xE2\x87\xA5";
enum { SIGN_BYTES = 3, ESCAPE = 0x1b, MARK_MS = 50 }; /* a mark comes in one piece */

void ae_paste_ask(FILE *terminal, bool on) {
    const char *name = getenv("TERM");
    if (!name || !*name || strcmp(name, "dumb") == 0) return;
    fputs(on ? "\033[?2004h" : "\033[?2004l", terminal);
    fflush(terminal);
}

static void hold(ae_paste *p, const char *bytes, size_t n) {
    memcpy(p->held, bytes, n);
    p->n = n;
    p->given = 0;
}

/* After ESC: whether the mark of a beginning or an end follows; else what came instead is held. */
static bool takes_mark(ae_paste *p, ae_next_byte *next, void *context) {
    const char *mark = p->inside ? "[201~" : "[200~";
    char came[8];
    size_t n = 0;
    bool fits = true;
    while (fits && mark[n] && next(context, MARK_MS, &came[n]) == 1) {
        fits = came[n] == mark[n];
        n++;
    }
    if (fits && !mark[n]) return true;
    for (size_t i = 0; p->inside && i < n; i++)
        if ((unsigned char)came[i] < 0x20) came[i] = ' '; /* a line end there would send the line */
    hold(p, came, n);
    return false;
}

/* A byte of pasted text as it is held for the line. */
static void hold_pasted(ae_paste *p, char byte) {
    if (byte == '\n' || byte == '\r')
        hold(p, line_end, SIGN_BYTES);
    else if (byte == '\t')
        hold(p, tab, SIGN_BYTES);
    else if ((unsigned char)byte >= 0x20 && byte != 0x7f)
        hold(p, &byte, 1);
}

int ae_paste_next(ae_paste *p, ae_next_byte *next, void *context, char *byte) {
    for (;;) {
        if (p->given < p->n) {
            *byte = p->held[p->given++];
            return 1;
        }
        const int got = next(context, -1, byte);
        if (got != 1) return got;
        if (*byte == ESCAPE && takes_mark(p, next, context)) {
            p->inside = !p->inside;
            continue;
        }
        if (!p->inside) return 1;
        if (*byte != ESCAPE) hold_pasted(p, *byte);
    }
}

size_t ae_paste_restore(char *line, size_t n) {
    size_t to = 0;
    for (size_t from = 0; from < n;) {
        const bool whole = n - from >= SIGN_BYTES;
        const bool is_end = whole && memcmp(line + from, line_end, SIGN_BYTES) == 0;
        const bool is_tab = whole && memcmp(line + from, tab, SIGN_BYTES) == 0;
        line[to++] = is_end ? '\n' : is_tab ? '\t' : line[from];
        from += is_end || is_tab ? SIGN_BYTES : 1;
    }
    line[to] = '\0';
    return to;
}
