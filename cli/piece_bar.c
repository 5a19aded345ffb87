#include "cli/piece_bar.h"

#include "cli/interrupt.h"

enum { MB = 1000000 };

static ae_status show(void *context, int64_t done, int64_t all) {
    ae_piece_bar *b = context;
    if (b->bar.what == NULL) {
        ae_progress_init(&b->bar, b->verb, 0, all / MB);
        b->bar.unit = "MB";
    }
    if (done / MB > b->shown_mb) ae_progress_show(&b->bar, done / MB, "");
    b->shown_mb = done / MB;
    if (done == all) ae_progress_end(&b->bar);
    return ae_interrupt_check();
}

ae_watch ae_piece_bar_watch(ae_piece_bar *b) {
    return (ae_watch){.ask = show, .context = b};
}
