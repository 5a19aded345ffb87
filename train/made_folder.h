#ifndef AE_TRAIN_MADE_FOLDER_H
#define AE_TRAIN_MADE_FOLDER_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

/* A folder that a start makes, and that goes again when the start fails. */
typedef struct {
    bool made;   /* it was not there before */
    size_t kept; /* bytes of its path that were there */
} ae_made_folder;

/* Makes `dir` and its parents where they are not there. */
ae_status ae_made_folder_init(ae_made_folder *m, const char *dir);
/* Removes the folders that were made, from `dir` up, as far as they are empty but for DIR/rendered, which goes too. */
void ae_made_folder_undo(const ae_made_folder *m, const char *dir);

#endif
