#ifndef AE_CLI_GNUPLOT_H
#define AE_CLI_GNUPLOT_H
#include "core/status.h"

#include <stddef.h>
#include <stdio.h>

/* SERIES: several SVGs, one after another, each begun by ae_gnuplot_next. */
typedef enum { AE_PICTURE_PNG, AE_PICTURE_SVG, AE_PICTURE_SERIES } ae_picture_kind;

typedef struct {
    int width, height; /* of a PNG in pixels; an SVG is given four fifths */
} ae_gnuplot_size;

/* Writes what gnuplot is to draw; terminal and output are set already. */
typedef ae_status ae_gnuplot_fn(FILE *script, const void *what);

/* In a script of a series: what is drawn next is a picture of its own. */
void ae_gnuplot_next(FILE *script);

/* A text inside double quotes, without what gnuplot would read as its own. NULL: an empty one. */
void ae_gnuplot_label(FILE *script, const char *text);

/* Runs gnuplot in a folder of its own, which is removed. *bytes is the picture, the caller frees it.
 * AE_ERR_USAGE when gnuplot is not installed. */
ae_status ae_gnuplot_draw(ae_gnuplot_fn *write, const void *what, const ae_gnuplot_size *size,
                          ae_picture_kind kind, char **bytes, size_t *n_bytes);

#endif
