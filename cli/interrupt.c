#include "cli/interrupt.h"

#include "core/process.h"

#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t caught, insisted;

static void remember(int number) {
    const bool insists = ae_stop_signal_insists(number);
    if (insisted && insists) _exit(AE_ERR_INTERRUPTED);
    insisted |= insists;
    caught = number;
}

void ae_interrupt_catch(void) {
    ae_stop_signals_catch(remember, 0, NULL);
}

ae_status ae_interrupt_check(void) {
    if (!caught) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "stopped by SIG%s", sigabbrev_np((int)caught));
}
