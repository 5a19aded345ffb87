#include "cli/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ae_bench_say(const ae_bench *b, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (b->json) return;
    puts(text);
    fflush(stdout);
}

/* The object that holds the last part of a dotted key. */
static json_t *holder_of(json_t *object, const char **key) {
    for (const char *dot = strchr(*key, '.'); dot; dot = strchr(*key, '.')) {
        char part[64];
        snprintf(part, sizeof part, "%.*s", (int)(dot - *key), *key);
        if (!json_object_get(object, part)) json_object_set_new(object, part, json_object());
        object = json_object_get(object, part);
        *key = dot + 1;
    }
    return object;
}

void ae_bench_put(ae_bench *b, const char *key, double value) {
    json_t *object = holder_of(b->report, &key);
    json_object_set_new(object, key, ae_json_number(value));
}

void ae_bench_put_text(ae_bench *b, const char *key, const char *text) {
    json_t *object = holder_of(b->report, &key);
    json_object_set_new(object, key, json_string(text));
}

void ae_bench_put_json(ae_bench *b, const char *key, json_t *value) {
    json_t *object = holder_of(b->report, &key);
    json_object_set_new(object, key, value);
}
