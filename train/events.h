#ifndef AE_TRAIN_EVENTS_H
#define AE_TRAIN_EVENTS_H
#include "train/numbers.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Scalars for TensorBoard: a file of TFRecords, each an Event of its protobuf schema, encoded by hand. A
 * record is, little-endian,
 *
 *   uint64 length | uint32 masked CRC-32C of the length | bytes | uint32 masked CRC-32C of the bytes
 *
 * where masked = rotate_right(crc, 15) + 0xa282ead8. */
typedef struct {
    FILE *file;
    char *path;     /* owned */
    int64_t offset; /* of the last complete step; what was written after it is given up on failure */
} ae_events;

/* A new file "events.out.tfevents.TIME.HOST" in `folder`; or, where `name` is given and the file is that
 * long, that one cut to `offset`: what came after a checkpoint is written again. */
ae_status ae_events_open(ae_events *e, const char *folder, const char *name, int64_t offset);
/* Each number under "GROUP/NAME". */
ae_status ae_events_scalars(ae_events *e, int64_t step, double wall_time, const char *group,
                            const ae_numbers *numbers);
/* "eval/loss" of eval_loss and so on, now: the first number and, of the others, those that are finite. */
ae_status ae_events_evaluation(ae_events *e, int64_t step, const ae_numbers *numbers);
/* To the disk; offset is then safe to keep in a checkpoint. */
ae_status ae_events_sync(ae_events *e);
const char *ae_events_name(const ae_events *e); /* without the folder */
void ae_events_close(ae_events *e);

uint32_t ae_crc32c(const void *bytes, size_t n);
uint32_t ae_crc32c_masked(const void *bytes, size_t n);

#endif
