#ifndef AE_DATA_UTF8_H
#define AE_DATA_UTF8_H
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of the longest valid UTF-8 prefix (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF); n
 * when all is. */
size_t ae_utf8_prefix(const char *s, size_t n);

/* A place p, 0 < p < n, where valid UTF-8 may be cut in two: the last one after a run of line ends; without
 * one the last one between a word and the spaces after it; without one the last between two characters. 0
 * when there is none (n < 2). */
size_t ae_text_edge(const char *s, size_t n);
/* The first kind only, or 0. */
size_t ae_text_line_edge(const char *s, size_t n);

/* Whether there is nothing but spaces, tabs and line ends. */
bool ae_text_is_blank(const char *s, size_t n);

/* Bytes of the white space character that valid UTF-8 of n > 0 bytes begins with, or 0: every character that
 * Unicode counts as white space, and U+001C to U+001F. */
size_t ae_text_space_bytes(const char *s, size_t n);

/* Cuts such white space off both ends of valid UTF-8, as `strip` of Python and `trim` of Jinja
 * do. */
void ae_text_trim(const char **s, size_t *n);
/* Both texts trimmed, with an empty line between them where both have something. The caller frees it;
 * NULL: no memory. */
char *ae_text_join(const char *a, size_t a_bytes, const char *b, size_t b_bytes, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
