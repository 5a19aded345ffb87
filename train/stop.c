#include "train/stop.h"

#include "core/status.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static atomic_int asked;
static volatile sig_atomic_t insisted, evaluating;

/* A handler may touch only atomics that take no lock. */
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "atomic_int takes a lock");

static void on_signal(int number) {
    static const char step[] = "\nstopping after this step; once more stops at once, without saving\n";
    static const char evaluation[] = "\nstopping the evaluation; once more stops at once, without saving\n";
    const int before = errno;
    const bool insists = ae_stop_signal_insists(number);
    if (insisted && insists) _exit(AE_ERR_INTERRUPTED);
    insisted |= insists;
    const char *line = evaluating ? evaluation : step;
    if (!asked && write(STDERR_FILENO, line, strlen(line)) < 0) { /* nobody to tell */
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
    evaluating = 0;
}

void ae_stop_evaluating(bool is) {
    evaluating = is;
}

void ae_stop_catch(ae_stop_actions *before) {
    ae_stop_signals_catch(on_signal, SA_RESTART, before);
}
