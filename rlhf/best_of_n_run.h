#ifndef AE_RLHF_BEST_OF_N_RUN_H
#define AE_RLHF_BEST_OF_N_RUN_H
#include "rlhf/config.h"

#include <jansson.h>

/* rl.method=best_of_n: nothing trains. model.init writes N = rl.samples answers to every prompt of data.train.
 *
 *   RUN/answers.jsonl   a line a prompt (rlhf/best_of_n_lines.h), train.batch_rows prompts at a time
 *   RUN/best.jsonl      the best answers as rows of chat, those that ended
 *   RUN/asked.json      what the answers depend on
 *   RUN/best_of_n.json  what the best of n is worth (rlhf/best_of_n_table.h), over prompts whose answers all have a reward
 *   RUN/rendered        JSON lines as token sets
 *
 * The same command again goes on behind the last whole line. An answer depends on its prompt's place and on no other,
 * so the files are the same to the byte however often it stopped. */

/* AE_ERR_USAGE for keys that say nothing here, and where a folder was begun with others. `dry_run`: checks everything
 * and tells what there is to do. *table (NULL after a dry run; the caller releases it) is what best_of_n.json holds. */
ae_status ae_best_of_n(ae_rlhf_config *config, bool dry_run, json_t **table);

#endif
