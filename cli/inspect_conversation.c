#include "cli/inspect.h"
#include "eval/conversation.h"

ae_status ae_inspect_conversation(ae_inspection *i, const char *path) {
    json_t *facts = NULL;
    json_object_set_new(i->facts, "kind", json_string("conversation"));
    const ae_status st = ae_inspect_note(i, ae_conversation_describe(&facts, path, i->quick));
    json_object_update(i->facts, facts);
    json_decref(facts);
    return st == AE_OK ? ae_inspect_file(i, NULL, path) : st;
}
