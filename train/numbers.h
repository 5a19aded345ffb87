#ifndef AE_TRAIN_NUMBERS_H
#define AE_TRAIN_NUMBERS_H
#include "core/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Named numbers in order, as many as an objective likes: what a line of metrics, TensorBoard and the
 * terminal show. A zeroed list is empty. */
typedef struct {
    const char *name; /* a literal */
    double value;     /* not finite: null in the metrics */
} ae_number;

typedef struct {
    ae_number *items;
    size_t n, capacity;
    bool failed; /* a number is missing for want of memory */
} ae_numbers;

void ae_numbers_add(ae_numbers *l, const char *name, double value);
/* Whether there is a number of that name, and its value. */
bool ae_numbers_find(const ae_numbers *l, const char *name, double *value);
/* All of them into an object, in order. */
ae_status ae_numbers_to_json(const ae_numbers *l, json_t *object);
/* Forgets the numbers and keeps the memory. */
void ae_numbers_clear(ae_numbers *l);
void ae_numbers_free(ae_numbers *l);

#endif
