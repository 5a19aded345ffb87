#include "cli/example_flags.h"

#include "train/run_folder.h"

#include <stdlib.h>
#include <string.h>

ae_arg ae_arg_kind(ae_example_flags *f) {
    return (ae_arg){.name = "kind",
                    .type = AE_ARG_TEXT,
                    .to = &f->kind,
                    .value = "chat|pairs|prompts",
                    .help = "what the rows are: dialogues, pairs of answers, or prompts"};
}

ae_arg ae_arg_map(ae_example_flags *f) {
    return (ae_arg){.name = "map",
                    .type = AE_ARG_TEXT,
                    .to = &f->mapping,
                    .value = "FIELD=KEY,...",
                    .help = "keys of other names: prompt=question,completion=answer"};
}

ae_arg ae_arg_tokenizer(ae_example_flags *f) {
    return (ae_arg){.name = "tokenizer",
                    .type = AE_ARG_TEXT,
                    .to = &f->tokenizer,
                    .value = "M",
                    .help = "a sentencepiece model"};
}

ae_arg ae_arg_tokenizer_of_model(ae_example_flags *f) {
    return (ae_arg){.name = "model",
                    .type = AE_ARG_TEXT,
                    .to = &f->model,
                    .value = "M",
                    .help = "a model whose tokenizer and vocabulary are taken: a Hugging Face folder, a "
                            "checkpoint or a run"};
}

static ae_status open_model(ae_example_flags *f) {
    ae_model_source source = {0};
    ae_status st;
    AE_TRY(ae_run_source_open(&source, f->model));
    f->rules.vocab_size = source.config.V;
    if (source.tokenizer) AE_TRY(ae_tokenizer_open(&f->opened, source.tokenizer));
    f->tokenizer_path = source.tokenizer;
    source.tokenizer = NULL;
out:
    ae_model_source_free(&source);
    return st;
}

static ae_status open_tokenizer(ae_example_flags *f) {
    const ae_status st = ae_tokenizer_open(&f->opened, f->tokenizer);
    if (st != AE_OK) return st;
    f->rules.vocab_size = ae_tokenizer_size(f->opened);
    f->tokenizer_path = strdup(f->tokenizer);
    return f->tokenizer_path ? AE_OK : AE_FAIL(AE_ERR_RESOURCE, "--tokenizer: out of memory");
}

ae_status ae_example_flags_open(ae_example_flags *f) {
    ae_status st;
    if (!f->tokenizer == !f->model)
        return AE_FAIL(AE_ERR_USAGE, "expected either --tokenizer or --model, found %s",
                       f->model ? "both" : "neither");
    if (f->kind) AE_TRY(ae_data_kind_parse(f->kind, &f->rules.kind));
    AE_TRY(ae_record_map_init(&f->map, f->mapping));
    if (f->kind) AE_TRY(ae_record_map_check(&f->map, f->rules.kind));
    AE_TRY(f->model ? open_model(f) : open_tokenizer(f));
    f->rules.map = &f->map;
    f->rules.tokenizer = f->opened;
out:
    if (st != AE_OK) ae_example_flags_close(f);
    return st;
}

void ae_example_flags_close(ae_example_flags *f) {
    ae_record_map_free(&f->map);
    ae_tokenizer_delete(f->opened);
    free(f->tokenizer_path);
    f->opened = NULL;
    f->tokenizer_path = NULL;
}
