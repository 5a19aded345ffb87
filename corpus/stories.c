#include "corpus/stories.h"

#include "corpus/plots.h"
#include "corpus/world.h"

void ae_story_with(uint64_t seed, uint64_t number, ae_text *out, ae_grammar *slots) {
    *slots = (ae_grammar){.rng = ae_rng_make(seed, number), .rules = ae_rules};
    *out = (ae_text){.n = 0};
    ae_world_draw(slots);
    const ae_plot *plot = &ae_plots[ae_rng_below(&slots->rng, ae_n_plots)];
    ae_slot_set(slots, "plot", plot->name);
    ae_slot_set(slots, "moral", plot->moral);
    ae_expand(slots, "{begin}", out);
    for (const char *const *p = plot->paragraphs; *p; p++) {
        ae_expand(slots, "\n", out);
        ae_expand(slots, *p, out);
    }
    ae_expand(slots, "{end}", out);
}

void ae_story(uint64_t seed, uint64_t number, ae_text *out) {
    ae_grammar slots;
    ae_story_with(seed, number, out, &slots);
}
