#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t caught;

static void remember(int number) {
    caught = number;
}

void ae_interrupt_catch(void) {
    struct sigaction a = {.sa_handler = remember, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&a.sa_mask);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

ae_status ae_interrupt_check(void) {
    if (!caught) return AE_OK;
    return AE_FAIL(AE_ERR_INTERRUPTED, "stopped by %s", caught == SIGTERM ? "SIGTERM" : "SIGINT");
}
