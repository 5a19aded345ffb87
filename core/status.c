#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 4096 };

static _Thread_local char message[MESSAGE_BYTES];

/* The message is one line whatever a file name or a parser put into it. */
static void keep(const char *text) {
    size_t n = strnlen(text, MESSAGE_BYTES - 1);
    for (size_t i = 0; i < n; i++) message[i] = (unsigned char)text[i] < ' ' ? ' ' : text[i];
    message[n] = '\0';
}

static size_t append_place(char *text, size_t n, const char *file, int line) {
    if (getenv("AERIE_DEBUG") == NULL) return n;
    int added = snprintf(text + n, MESSAGE_BYTES - n, " [%s:%d]", file, line);
    return added > 0 ? n + (size_t)added : n;
}

void ae_fail_at(const char *file, int line, const char *fmt, ...) {
    char text[MESSAGE_BYTES]; /* apart, because an argument may be the message itself */
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0) n = 0;
    if (n < MESSAGE_BYTES) append_place(text, (size_t)n, file, line);
    keep(text);
}

void ae_fail_prefix(const char *fmt, ...) {
    char text[2 * MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, MESSAGE_BYTES - 2, fmt, args);
    va_end(args);
    if (n < 0 || n > MESSAGE_BYTES - 3) return;
    snprintf(text + n, sizeof text - (size_t)n, ": %s", message);
    keep(text);
}

const char *ae_error_message(void) {
    return message;
}
