#ifndef AE_EXCHANGE_ADAPTER_PARTS_H
#define AE_EXCHANGE_ADAPTER_PARTS_H
#include "exchange/adapter.h"

/* What the files that open adapters share. */

/* Adds a copy to a list that ends with NULL; an empty one is NULL. `where` is for messages. */
ae_status ae_adapter_list_add(char ***list, const char *text, const char *where);
void ae_adapter_list_free(char **list);
/* Points the options to the lists of the source. */
void ae_adapter_take_lists(ae_adapter_source *s);

extern const char ae_adapter_head[]; /* the name of the head */

/* Of an adapter of PEFT (exchange/peft.c): its configuration and the names of its tensors; whether the
 * modules that it names are those that have tensors. */
ae_status ae_peft_open(ae_adapter_source *s);
ae_status ae_peft_check_modules(const ae_adapter_source *s, const ae_params *params);

enum { AE_ADAPTER_RANK_MAX = 1 << 16 };

#endif
