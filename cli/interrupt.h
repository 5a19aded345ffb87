#ifndef AE_CLI_INTERRUPT_H
#define AE_CLI_INTERRUPT_H
#include "core/status.h"

/* SIGINT and SIGTERM are remembered from here on, and calls that wait return; a second one ends the program at once. */
void ae_interrupt_catch(void);
/* AE_ERR_INTERRUPTED once a signal has come. */
ae_status ae_interrupt_check(void);

#endif
