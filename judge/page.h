#ifndef AE_JUDGE_PAGE_H
#define AE_JUDGE_PAGE_H
#include <stddef.h>

/* The files of judge/page, as the build has put them into the program. */
typedef struct {
    const char *name; /* "" is the page itself, "page.js" */
    const char *type; /* its Content-Type */
    const unsigned char *bytes;
    size_t n;
} ae_page_file;

extern const ae_page_file ae_page_files[];
extern const size_t ae_page_n_files;

#endif
