#include "train/stop.h"

#include "core/status.h"

#include <errno.h>
#include <unistd.h>

static atomic_int asked;
static volatile sig_atomic_t insisted;

/* A handler may touch only atomics that take no lock. */
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "atomic_int takes a lock");

static void on_signal(int number) {
    static const char line[] = "\nstopping after this step; once more stops at once, without saving\n";
    const int before = errno;
    const bool insists = ae_stop_signal_insists(number);
    if (insisted && insists) _exit(AE_ERR_INTERRUPTED);
    insisted |= insists;
    if (!asked && write(STDERR_FILENO, line, sizeof line - 1) < 0) { /* nobody to tell */
    }
    asked = 1;
    errno = before;
}

const atomic_int *ae_stop_asked(void) {
    return &asked;
}

void ae_stop_reset(void) {
    asked = 0;
    insisted = 0;
}

void ae_stop_catch(ae_stop_actions *before) {
    ae_stop_signals_catch(on_signal, SA_RESTART, before);
}
