#ifndef AE_CLI_PIECE_BAR_H
#define AE_CLI_PIECE_BAR_H
#include "core/log.h"
#include "exchange/param_writer.h"

/* The bar, in MB, of a verb that writes weights piece by piece; between pieces it asks for an interrupt. */
typedef struct {
    const char *verb; /* "export" */
    ae_progress bar;
    int64_t shown_mb;
} ae_piece_bar;

/* The watch that moves it; the bar must stay where it is. */
ae_watch ae_piece_bar_watch(ae_piece_bar *b);

#endif
