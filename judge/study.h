#ifndef AE_JUDGE_STUDY_H
#define AE_JUDGE_STUDY_H
#include "core/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A study: prompts, the answers of two or more models to each, and the votes that are cast (judge/votes.h). A folder:
 *
 *     study.json   {"format", "seed", "models": [{"name", ...}], "items", "items_crc32", "made": {...}}
 *     items.jsonl  {"id", "prompt", "answers": [text of each model, or null]} a line; "prompt" is a text or a list
 *                  of {"role", "content"}
 *     votes.jsonl  appended to
 *
 * study.json is written last: a folder without it is no study yet. */

enum { AE_STUDY_MODELS_MAX = 16 };

/* What is to be voted on: two models on one item, both of which have answered it. */
typedef struct {
    ptrdiff_t item;
    int a, b; /* models, a < b */
} ae_comparison;

typedef struct {
    char *folder;
    json_t *about; /* study.json */
    json_t *items; /* list of the lines of items.jsonl */
    json_t *index; /* id -> number of the item */
    const char *models[AE_STUDY_MODELS_MAX];
    int n_models;
    ptrdiff_t n_items;
    uint64_t seed;
    int64_t items_crc32; /* of items.jsonl */
    /* Comparisons come in rounds. Each round has all items once, in the order that the seed draws, and pairs in turn:
     * whoever stops after n votes has seen n items and all pairs about equally often, and so have other raters, on the
     * same items. */
    ae_comparison *comparisons;
    ptrdiff_t n_comparisons;
} ae_study;

/* AE_ERR_INPUT where a file is missing, malformed or not the one that the votes are about. */
ae_status ae_study_open(ae_study *s, const char *folder);
void ae_study_free(ae_study *s);

/* Writes items.jsonl and then study.json, whole or not at all. `about` has "seed", "models" and "made"; the rest is
 * added. */
ae_status ae_study_write(const char *folder, json_t *about, const json_t *items);
/* Whether the folder holds a study. */
bool ae_study_exists(const char *folder);

const json_t *ae_study_item(const ae_study *s, ptrdiff_t item);
const char *ae_study_id(const ae_study *s, ptrdiff_t item);
/* The number of a model, of an item; -1: none of that name. */
int ae_study_find_model(const ae_study *s, const char *name);
ptrdiff_t ae_study_find_item(const ae_study *s, const char *id);

/* The pairs that models make. */
int ae_study_pairs(const ae_study *s);
/* The text of a model, NULL where it has not answered. */
const json_t *ae_study_answer(const ae_study *s, ptrdiff_t item, int model);

#endif
