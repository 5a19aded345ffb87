#include "core/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAIL_BYTES = 1024 };

static _Thread_local char message[AE_MESSAGE_BYTES];

static bool begins_character(char c) {
    return ((unsigned char)c & 0xc0) != 0x80;
}

/* Of a message that is too long the middle is left out: its end says what was found and what to do. */
static void keep_ends(const char *text, size_t n) {
    static const char cut[] = " ... ";
    size_t head = AE_MESSAGE_BYTES - TAIL_BYTES - sizeof cut, tail = n - TAIL_BYTES;
    while (head > 0 && !begins_character(text[head])) head--;
    while (tail < n && !begins_character(text[tail])) tail++;
    snprintf(message, sizeof message, "%.*s%s%s", (int)head, text, cut, text + tail);
}

/* The message is one line whatever a file name or a parser put into it. */
static void keep(const char *text) {
    const size_t n = strlen(text);
    if (n < AE_MESSAGE_BYTES)
        memcpy(message, text, n + 1);
    else
        keep_ends(text, n);
    for (char *c = message; *c; c++)
        if ((unsigned char)*c < ' ') *c = ' ';
}

static size_t append_place(char *text, size_t n, const char *file, int line) {
    if (getenv("AERIE_DEBUG") == NULL) return n;
    int added = snprintf(text + n, AE_MESSAGE_BYTES - n, " [%s:%d]", file, line);
    return added > 0 ? n + (size_t)added : n;
}

void ae_fail_at(const char *file, int line, const char *fmt, ...) {
    char text[AE_MESSAGE_BYTES], *whole = NULL; /* apart, because an argument may be the message itself */
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(text, sizeof text, fmt, args);
    if (n < 0) n = 0;
    if (n < AE_MESSAGE_BYTES)
        append_place(text, (size_t)n, file, line);
    else if ((whole = malloc((size_t)n + 1)) != NULL)
        vsnprintf(whole, (size_t)n + 1, fmt, again);
    keep(whole != NULL ? whole : text);
    free(whole);
    va_end(again);
    va_end(args);
}

void ae_fail_prefix(const char *fmt, ...) {
    char text[2 * AE_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, AE_MESSAGE_BYTES - 2, fmt, args);
    va_end(args);
    if (n < 0 || n > AE_MESSAGE_BYTES - 3) return;
    snprintf(text + n, sizeof text - (size_t)n, ": %s", message);
    keep(text);
}

const char *ae_error_message(void) {
    return message;
}
