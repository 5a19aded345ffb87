#ifndef AE_TESTS_TRAIN_AT_SYNC_H
#define AE_TESTS_TRAIN_AT_SYNC_H

/* Called, where it is set, before each fsync of the program: a test acts in the middle of a start or of a save, from the thread that is at it. */
extern void (*volatile train_rig_at_sync)(void);

#endif
