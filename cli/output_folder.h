#ifndef AE_CLI_OUTPUT_FOLDER_H
#define AE_CLI_OUTPUT_FOLDER_H
#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

/* A folder that a verb writes as a whole: filled aside, as OUTPUT.part, and moved into place when it is
 * complete; one that it replaces stands as OUTPUT.before until then. What stands at any of these places goes
 * only when it holds nothing but what the verb writes: never a run, nor somebody's files, nor what is
 * read. */
typedef struct {
    const char *verb;           /* for messages: "quantize" */
    const char *output;         /* the folder to be */
    bool force;                 /* an output that exists may be replaced */
    const char *const *sources; /* folders that are read, which the output must not be; entries may be NULL */
    size_t n_sources;
    const char *const
        *names; /* shell patterns of the files that the verb writes: "model-*-of-*.safetensors" */
    size_t n_names;
    ae_status (*fill)(void *context, const char *folder); /* writes the files, synced, into an empty folder */
    void *context;
} ae_output_folder;

/* AE_ERR_USAGE when the place is taken, or being written by another process. After a failure nothing of it is
 * left, but for a folder that is whole and cannot be moved into place: it stays as OUTPUT.part. */
ae_status ae_output_folder_write(const ae_output_folder *f);
/* FOLDER/NAME with the bytes of the file `from`. */
ae_status ae_output_folder_copy(const char *folder, const char *name, const char *from);

#endif
