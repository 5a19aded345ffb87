#ifndef AE_CLI_PLOT_HTML_H
#define AE_CLI_PLOT_HTML_H
#include "eval/bootstrap.h"

#include <stddef.h>
#include <stdio.h>

/* Pieces of HTML. */

/* A page to where its body begins; `more`: style beside the common one. */
void ae_html_begin(FILE *f, const char *title, const char *more);

void ae_html_escaped(FILE *f, const char *text, size_t n);
void ae_html_text(FILE *f, const char *text);
/* A cell with so many digits; a dash for what is not known. */
void ae_html_number(FILE *f, double x, int digits, const char *unit);
/* The same with its interval below, where it has one. */
void ae_html_estimate(FILE *f, const ae_estimate *e, int digits);
void ae_html_heading(FILE *f, const char *text); /* <th> */
/* What a file holds, as it is; nothing where it cannot be read. */
void ae_html_file(FILE *f, const char *path);
/* Every picture of `svg` (one SVG after another) in a box of its own, side by side where there is room: without the
 * XML headers, which have no place inside a page. */
void ae_html_pictures(FILE *f, const char *svg, size_t n);

#endif
