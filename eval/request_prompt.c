#include "data/render.h"
#include "eval/request.h"

static ae_status take_messages(const json_t *object, const ae_request_rules *rules, const char *where,
                               ae_ids *ids) {
    ae_record_map names = {0};
    ae_dialogue dialogue = {0};
    ae_status st;
    if (!rules->tokenizer)
        return AE_FAIL(AE_ERR_INPUT, "%s: messages: the model has no tokenizer; give \"tokens\": [ids]",
                       where);
    AE_TRY(ae_render_check(rules->tokenizer, where));
    AE_TRY(ae_record_map_init(&names, NULL));
    AE_TRY(ae_prompt_parse(&dialogue, object, &names, where));
    AE_TRY(ae_render_prompt(rules->tokenizer, &dialogue, ids));
    AE_TRY(ae_request_check_range(ids, rules, where));
out:
    ae_dialogue_free(&dialogue);
    ae_record_map_free(&names);
    return st;
}

/* A key whose value is null counts as absent. */
static const json_t *value_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value) ? value : NULL;
}

ae_status ae_request_prompt(const json_t *object, const ae_request_rules *rules, const char *where,
                            ae_ids *ids) {
    const json_t *messages = value_of(object, "messages");
    if (!messages) return ae_request_ids(object, "prompt", rules, where, ids);
    const char *other = value_of(object, "prompt") ? "prompt" : value_of(object, "tokens") ? "tokens" : NULL;
    if (other)
        return AE_FAIL(AE_ERR_INPUT,
                       "%s: expected one of \"prompt\", \"tokens\" and \"messages\", found \"%s\" and "
                       "\"messages\"",
                       where, other);
    if (!json_is_array(messages))
        return AE_FAIL(AE_ERR_INPUT, "%s: messages: expected a list, found %s", where,
                       ae_json_type_name(messages));
    return take_messages(object, rules, where, ids);
}
