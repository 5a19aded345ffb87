#ifndef AE_CLI_FACTS_H
#define AE_CLI_FACTS_H
#include "core/json.h"

#include <stdbool.h>

/* Prints what a verb has found out, one JSON object, on stdout: in one line, or as aligned text. There a name
 * and its value stand on a line ("_" of names becomes a space), lists of texts on a line each, lists of
 * numbers in brackets, objects are indented below their name, and lists of objects are tables. */
ae_status ae_facts_print(const json_t *facts, bool json);

#endif
