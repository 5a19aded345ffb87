#ifndef AE_TRAIN_RENDERED_H
#define AE_TRAIN_RENDERED_H
#include "data/example.h"
#include "data/row_name.h"

/* Files of JSON lines among the token sets of a run: they are rendered before training begins, into
 * RUN/rendered/NAME-HASH.h5. The hash is of the file, the tokenizer and the mapping, so that a file which
 * changed is rendered anew and one that did not is rendered once. */
typedef struct {
    const char *folder; /* where they go, RUN/rendered; made when the first file needs it */
    ae_data_kind kind;
    const char *mapping;   /* data.map; "": none */
    const char *tokenizer; /* path; NULL: rows in token ids only */
    int64_t vocab_size;    /* of the model */
} ae_rendering;

/* `tree` as data.train gives it (data/mixture.h: a path, a list, phases), or one path; *out is the same with
 * the paths of token sets in the place of files of JSON lines, or a copy. The caller frees it. */
ae_status ae_render_files(char **out, const char *tree, const ae_rendering *r);

#endif
