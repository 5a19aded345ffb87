#ifndef AE_TRAIN_SET_PATHS_H
#define AE_TRAIN_SET_PATHS_H
#include "core/status.h"

/* The paths of token sets in data.train, a tree (data/mixture.h): a path, {path, ..}, {sets: [..]}, a list of
 * any. */

/* Puts a path in the place of another one; *other stays NULL where it is to stay. */
typedef ae_status ae_set_path_change(void *context, const char *path, char **other);

/* *out is the tree, or the one path, with all paths changed; the caller frees it. */
ae_status ae_set_paths_change(char **out, const char *tree, ae_set_path_change *change, void *context);

#endif
