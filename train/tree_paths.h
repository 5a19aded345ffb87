#ifndef AE_TRAIN_TREE_PATHS_H
#define AE_TRAIN_TREE_PATHS_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

/* The paths in a key that holds a tree (AE_FIELD_TREE): token sets in data.train (data/mixture.h), reward models and
 * programs in rl.rewards (rlhf/rewards.h). A tree is a path, {path, adapter, folder, sets: TREE, ..}, or a list of any. */

/* Puts a path in the place of another one; *other stays NULL where it is to stay. */
typedef ae_status ae_tree_path_change(void *context, const char *path, char **other);

/* *out is the tree of key `key`, or the one path, with all paths changed; the caller frees it. */
ae_status ae_tree_paths_change(char **out, const char *tree, const char *key, ae_tree_path_change *change,
                               void *context);
/* The same tree where every {command, ..} without a `folder` has this one, if a word of the command is the path of
 * something in it: others, found by PATH, work anywhere, and get it with
 * `to_all` only. *given: how many get it. */
ae_status ae_tree_give_folder(char **out, const char *tree, const char *key, const char *folder, bool to_all,
                              size_t *given);

#endif
