#ifndef AE_CLI_INSPECT_H
#define AE_CLI_INSPECT_H
#include "core/json.h"
#include "model/config.h"

#include <stdbool.h>

/* What aerie inspect finds out about a path. Each function adds what it finds to `facts` and a line to
 * `faults` for each thing that is wrong or cannot be read; only what stops the work itself (memory, an
 * interrupt) is their status. */
typedef struct {
    bool quick;   /* sizes only: no file is read whole */
    bool tensors; /* list them all */
    json_t *facts, *faults;
} ae_inspection;

/* AE_ERR_INPUT becomes a fault, and AE_OK; anything else stays what it is. */
ae_status ae_inspect_note(ae_inspection *i, ae_status st);

/* facts.files gains {file, bytes, crc32} of FOLDER/name (NULL: of `folder` itself, a file); crc32 is null
 * when `quick`. */
ae_status ae_inspect_file(ae_inspection *i, const char *folder, const char *name);
/* The same of a file that was looked at: `read` where the CRC-32 is known; `whole`, where not NULL, is told
 * too. */
void ae_inspect_add_file(ae_inspection *i, const char *name, int64_t bytes, bool read, uint32_t crc,
                         const bool *whole);

ae_status ae_inspect_hf(ae_inspection *i, const char *folder);
ae_status ae_inspect_peft(ae_inspection *i, const char *folder);
ae_status ae_inspect_checkpoint(ae_inspection *i, const char *folder);
/* A folder of several members and their average (train/warm.h): members.json, and the average. */
ae_status ae_inspect_members(ae_inspection *i, const char *folder);
/* Rounds of runs and their merge (rlhf/warp.h): warp.json, and the model. */
ae_status ae_inspect_warp(ae_inspection *i, const char *folder);
ae_status ae_inspect_run(ae_inspection *i, const char *folder);
/* One safetensors or HDF5 file of tensors. */
ae_status ae_inspect_tensor_file(ae_inspection *i, const char *path);
ae_status ae_inspect_token_set(ae_inspection *i, const char *path);
ae_status ae_inspect_tokenizer(ae_inspection *i, const char *path);
ae_status ae_inspect_conversation(ae_inspection *i, const char *path);

/* Parts of the above. facts.tokenizer of FOLDER/tokenizer.model (null where there is none), or of the bytes
 * of such a file. */
ae_status ae_inspect_folder_tokenizer(ae_inspection *i, const char *folder);
ae_status ae_inspect_tokenizer_bytes(ae_inspection *i, const void *bytes, size_t n, const char *where);

/* facts.parameters, and facts.shape in the words of model.json. */
ae_status ae_inspect_shape(ae_inspection *i, const ae_model_config *c);
/* Whether `tensors` (for ae_tensors_open) holds what the shape asks for, and nothing else but the head of a
 * reward model; facts.score_head says whether it has one, which facts.parameters then counts too. */
ae_status ae_inspect_fit(ae_inspection *i, const ae_model_config *c, const char *tensors);

/* Every tensor of some files, gathered file by file. */
typedef struct {
    json_t *rows;   /* {tensor, dtype, shape, elements, bytes, file} */
    bool whole;     /* no file was missing or unreadable */
    size_t read;    /* safetensors whose data was read through */
    size_t covered; /* those of them with a checksum to hold it against */
} ae_tensor_list;
/* The data of safetensors is read and compared with the checksum that they carry, unless `quick`. */
ae_status ae_inspect_list(ae_inspection *i, ae_tensor_list *l, const char *folder, const char *name);
/* facts.data_checksum: whether each of the safetensors read carries one; null when none was read. */
void ae_inspect_add_checksum(ae_inspection *i, const ae_tensor_list *l);
/* facts.types: tensors, elements and bytes by type; facts.tensors with --tensors. Drops the list. */
void ae_inspect_add_list(ae_inspection *i, ae_tensor_list *l);

#endif
