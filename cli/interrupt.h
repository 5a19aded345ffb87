#ifndef AE_CLI_INTERRUPT_H
#define AE_CLI_INTERRUPT_H
#include "core/status.h"

/* Signals that ask the program to stop (core/process.h) are remembered from here on, and calls that wait
 * return; a second SIGINT or SIGTERM ends it at once. */
void ae_interrupt_catch(void);
/* AE_ERR_INTERRUPTED once a signal has come. */
ae_status ae_interrupt_check(void);

#endif
