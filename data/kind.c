#include "data/kind.h"

#include <string.h>

static const char *const names[] = {"text", "chat", "pairs", "prompts"};

const char *ae_data_kind_name(ae_data_kind kind) {
    return names[kind];
}

ae_status ae_data_kind_parse(const char *name, ae_data_kind *kind) {
    for (int i = AE_KIND_CHAT; i <= AE_KIND_PROMPTS; i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (ae_data_kind)i;
            return AE_OK;
        }
    return AE_FAIL(AE_ERR_USAGE, "--kind: expected chat, pairs or prompts, found '%s'", name);
}
