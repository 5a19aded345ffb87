#include "corpus/world.h"

#include <stdio.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

typedef enum { HE, SHE } gender;

typedef struct {
    const char *name, *kind;
    gender sex;
} being;

static const being children[] = {
    {"Lily", "little girl", SHE}, {"Anna", "little girl", SHE},  {"Mia", "small girl", SHE},
    {"Rosa", "young girl", SHE},  {"Ella", "little girl", SHE},  {"Nora", "small girl", SHE},
    {"Ivy", "young girl", SHE},   {"Clara", "little girl", SHE}, {"Maya", "small girl", SHE},
    {"Tess", "young girl", SHE},  {"Tom", "little boy", HE},     {"Ben", "small boy", HE},
    {"Max", "young boy", HE},     {"Sam", "little boy", HE},     {"Leo", "small boy", HE},
    {"Finn", "little boy", HE},   {"Jack", "young boy", HE},     {"Omar", "small boy", HE},
    {"Hugo", "little boy", HE},   {"Theo", "young boy", HE},
};
static const being animals[] = {
    {"Rusty", "red fox", HE},         {"Clover", "white rabbit", SHE}, {"Bruno", "brown bear", HE},
    {"Pip", "tiny mouse", SHE},       {"Olive", "little owl", SHE},    {"Fred", "green frog", HE},
    {"Misty", "gray cat", SHE},       {"Biscuit", "small dog", HE},    {"Toby", "slow turtle", HE},
    {"Hazel", "quick squirrel", SHE}, {"Spike", "young hedgehog", HE}, {"Daisy", "yellow duck", SHE},
};

typedef struct {
    const char *word, *name;
    gender sex;
} relative;
static const relative relatives[] = {
    {"mother", "Mama", SHE},        {"father", "Papa", HE},  {"grandmother", "Grandma", SHE},
    {"grandfather", "Grandpa", HE}, {"aunt", "Auntie", SHE}, {"uncle", "Uncle", HE},
};

static const struct {
    const char *word, *does, *act;
} traits[] = {
    {"curious", "asked questions about everything",
     "Because {a} was curious, {a.he} [peeked into every corner|wanted to know more]."},
    {"brave", "was not afraid of the dark", "Because {a} was brave, {a.he} [did not cry|stood up tall]."},
    {"shy", "liked to stay close to {a.his} {elder}",
     "{a} was shy, so {a.he} spoke in a [very quiet|small] voice."},
    {"patient", "never minded waiting",
     "{a} was patient, so {a.he} took [one small step at a time|a slow, deep breath]."},
    {"cheerful", "sang songs all day long",
     "{a} was cheerful, so {a.he} [hummed a little song|smiled anyway]."},
    {"careful", "looked both ways before every step",
     "{a} was careful, so {a.he} [thought about it first|looked around twice]."},
    {"clever", "liked to solve riddles", "{a} was clever, so {a.he} [made a plan|thought of a plan]."},
    {"gentle", "never stepped on a bug",
     "{a} was gentle, so {a.he} [spoke in a soft voice|moved very softly]."},
    {"quick", "ran everywhere", "{a} was quick, so {a.he} [ran like the wind|jumped up at once]."},
    {"sleepy", "took a nap every day", "{a} was sleepy, so {a.he} [yawned first|rubbed {a.his} eyes]."},
};

static const char *const colours[] = {"red",    "blue",  "green", "yellow", "purple",
                                      "orange", "white", "brown", "pink",   "silver"};
static const struct {
    const char *word, *use, *used;
} things[] = {
    {"ball", "bounce it", "bounced it"},
    {"kite", "fly it", "flew it"},
    {"drum", "play it", "played it"},
    {"boat", "float it in the water", "floated it in the water"},
    {"hat", "wear it", "wore it"},
    {"scarf", "wear it", "wore it"},
    {"wagon", "pull it around", "pulled it around"},
    {"bell", "ring it", "rang it"},
    {"truck", "push it around", "pushed it around"},
    {"book", "read it", "read it"},
    {"teddy bear", "hug it", "hugged it"},
    {"umbrella", "open and close it", "opened and closed it"},
    {"hoop", "roll it", "rolled it"},
    {"whistle", "blow it", "blew it"},
};

static const struct {
    const char *word, *see, *spots[4];
} places[] = {
    {"the park",
     "[three|many] ducks on the pond",
     {"under a bench", "behind the big oak tree", "next to the slide", "near the fountain"}},
    {"the forest",
     "a [deer|woodpecker] between the trees",
     {"under a fern", "inside a hollow log", "behind a mossy rock", "between two tall pines"}},
    {"the beach",
     "a [crab|seagull] on the sand",
     {"behind a sand castle", "under a blue towel", "between two rocks", "next to an old boat"}},
    {"the garden",
     "butterflies over the flowers",
     {"under the rose bush", "behind the shed", "next to the carrots", "inside a flower pot"}},
    {"the farm",
     "[a horse|two cows] behind the fence",
     {"under the hay", "behind the barn", "next to the well", "inside the chicken house"}},
    {"the river",
     "a silver fish in the water",
     {"under the bridge", "behind the tall grass", "next to a flat stone", "inside a bush"}},
    {"the market",
     "a man with a hundred balloons",
     {"under a table of pears", "behind the bread cart", "next to the big clock", "inside an empty basket"}},
    {"the hill",
     "a flock of sheep",
     {"under a thorn bush", "behind a gray stone", "next to the old gate", "inside a rabbit hole"}},
};

static const struct {
    const char *word, *sky, *wear, *end;
} weathers[] = {
    {"sunny", "The sun was [warm|bright] and the sky was blue.", "sun hat",
     "The sun went down [slowly|behind the houses]."},
    {"rainy", "Rain fell [on the roof|from the gray clouds], drip, drop, drip.", "rain boots",
     "At last the rain stopped, and a rainbow came out."},
    {"windy", "The wind blew [the leaves around|through the trees].", "warm coat",
     "The wind grew quiet at last."},
    {"snowy", "White snow lay [on the ground|everywhere].", "thick mittens",
     "More snow began to fall, soft and slow."},
    {"cloudy", "The clouds looked like [sheep|pillows|big ships].", "jacket",
     "The clouds went away, and the first star came out."},
    {"foggy", "The fog was [as thick as soup|so thick that the houses were gone].", "long scarf",
     "The fog went away, and everything was clear again."},
};
static const struct {
    const char *word, *next;
} times[] = {{"morning", "lunch"}, {"afternoon", "dinner"}, {"evening", "bed"}};

static const struct {
    const char *one, *many;
} foods[] = {{"apple", "apples"},   {"pear", "pears"},    {"cookie", "cookies"}, {"plum", "plums"},
             {"muffin", "muffins"}, {"berry", "berries"}, {"carrot", "carrots"}, {"nut", "nuts"}};
static const char *const finds[][2] = {{"shell", "shells"},   {"feather", "feathers"}, {"stone", "stones"},
                                       {"flower", "flowers"}, {"leaf", "leaves"},      {"button", "buttons"}};
static const char *const numbers[] = {"zero",  "one",   "two",  "three", "four",   "five",  "six",
                                      "seven", "eight", "nine", "ten",   "eleven", "twelve"};

static const struct {
    const char *kind, *trouble, *help, *safe;
    gender sex;
} creatures[] = {
    {"duckling", "had lost {c.his} mother", "followed the sound of quacking to the water",
     "swam to {c.his} mother", HE},
    {"kitten", "was stuck in a tree", "put a ladder against the tree", "climbed down, one paw at a time",
     SHE},
    {"beetle", "was lying on {c.his} back", "turned the beetle over with a leaf",
     "stood on {c.his} six legs again", HE},
    {"bee", "had fallen into a puddle", "held out a dry twig", "crawled up the twig and dried {c.his} wings",
     SHE},
    {"sparrow", "had a thread around {c.his} foot", "pulled the thread off, little by little",
     "hopped on both feet", HE},
    {"lamb", "was caught in a bush", "bent the branches to one side", "jumped out of the bush", SHE},
    {"snail", "was alone in the middle of the road", "carried the snail to the green grass",
     "put out {c.his} horns in the cool grass", HE},
    {"puppy", "had fallen into a hole", "made steps of stones in the hole",
     "climbed up the steps and wagged {c.his} tail", SHE},
};

static const struct {
    const char *word, *attempt, *fail;
} skills[] = {
    {"swim across the pond", "jumped into the water", "swallowed a lot of water"},
    {"ride a bike", "sat on the bike and pushed", "fell into the grass"},
    {"whistle a tune", "blew as hard as {a.he} could", "made only a hissing sound"},
    {"tie a bow", "crossed the two strings", "made a big knot"},
    {"bake bread", "mixed the flour and the water", "took a flat black stone out of the oven"},
    {"skip rope", "swung the rope and jumped", "got {a.his} feet caught in the rope"},
    {"draw a horse", "drew four legs and a tail", "made something that looked like a table"},
    {"climb the old oak tree", "held on to the lowest branch", "slid back down to the ground"},
    {"play the flute", "put the flute to {a.his} lips", "made a noise like an angry goose"},
    {"skate on the ice", "stepped on the ice", "sat down with a bump"},
};

static const struct {
    const char *word, *event, *use;
} packs[] = {
    {"lamp", "it grew very dark", "lit the lamp, and there was light all around"},
    {"rope", "the wheel got stuck in the mud", "tied the rope around it and pulled, and it came out"},
    {"blanket", "it grew very cold", "put the blanket around them both, and they were warm"},
    {"map", "the road split in two", "opened the map, and it showed the right way"},
    {"loaf of bread", "they became very hungry", "broke the loaf of bread in two, and they both ate"},
    {"bottle of water", "they became very thirsty", "opened the bottle of water, and they both drank"},
    {"bandage", "{b} hurt {b.his} knee", "put the bandage on the knee, and it felt better"},
    {"flute", "they became bored", "played a tune on the flute, and they both laughed"},
};
static const char *const rides[] = {"train", "bus", "boat", "cart"};

static const struct {
    const char *word, *noise;
} shadows[] = {
    {"a branch", "tap, tap, tap on the window"},
    {"an owl", "hoo, hoo, hoo from the roof"},
    {"a tiny mouse", "scratch, scratch, scratch under the floor"},
    {"the old clock", "tick, tock, tick behind the door"},
    {"the neighbor's cat", "bump, bump, bump on the stairs"},
    {"a loose shutter", "clack, clack, clack in the wind"},
};

static const char *const homes[] = {
    "near the mill",          "by the lake",        "next to the school",
    "behind the church",      "on the hill",        "at the big gate",
    "across the bridge",      "under the old tree", "by the well",
    "at the end of the road",
};
static const char *const deeds[] = {
    "sang a song",  "ate a plum",     "took a nap",        "drew a horse",        "climbed a tree",
    "baked bread",  "read a book",    "jumped in puddles", "looked at the ducks", "built a small house",
    "danced a bit", "played a drum",  "watered a flower",  "told a riddle",       "washed the plates",
    "flew a kite",  "picked berries", "swept the floor",
};

static size_t draw(ae_grammar *g, size_t n) {
    return (size_t)ae_rng_below(&g->rng, n);
}

static void set_pronouns(ae_grammar *g, const char *who, gender sex) {
    ae_slot_set_part(g, who, "he", sex == SHE ? "she" : "he");
    ae_slot_set_part(g, who, "him", sex == SHE ? "her" : "him");
    ae_slot_set_part(g, who, "his", sex == SHE ? "her" : "his");
}

static void set_being(ae_grammar *g, const char *who, const being *x) {
    ae_slot_set(g, who, x->name);
    ae_slot_set_part(g, who, "kind", x->kind);
    set_pronouns(g, who, x->sex);
}

static void draw_cast(ae_grammar *g) {
    const bool beasts = draw(g, 3) == 0;
    const being *from = beasts ? animals : children;
    const size_t n = beasts ? COUNT(animals) : COUNT(children);
    const size_t first = draw(g, n), second = (first + 1 + draw(g, n - 1)) % n;
    set_being(g, "a", &from[first]);
    set_being(g, "b", &from[second]);

    const relative *r = &relatives[draw(g, COUNT(relatives))];
    ae_slot_set(g, "elder", r->word);
    ae_slot_set_part(g, "elder", "name", r->name);
    set_pronouns(g, "elder", r->sex);

    const size_t c = draw(g, COUNT(creatures));
    ae_slot_set(g, "c", creatures[c].kind);
    set_pronouns(g, "c", creatures[c].sex);
    ae_slot_set_part(g, "c", "trouble", creatures[c].trouble);
    ae_slot_set_part(g, "c", "help", creatures[c].help);
    ae_slot_set_part(g, "c", "safe", creatures[c].safe);
}

static void draw_trait(ae_grammar *g) {
    const size_t i = draw(g, COUNT(traits));
    ae_slot_set(g, "trait", traits[i].word);
    ae_slot_set_part(g, "trait", "does", traits[i].does);
    ae_slot_set_part(g, "trait", "act", traits[i].act);
}

static void draw_thing(ae_grammar *g) {
    const size_t i = draw(g, COUNT(things));
    ae_slot_set(g, "colour", colours[draw(g, COUNT(colours))]);
    ae_slot_set(g, "noun", things[i].word);
    ae_slot_set(g, "thing", "{colour} {noun}");
    ae_slot_set(g, "use", things[i].use);
    ae_slot_set(g, "used", things[i].used);
}

static void draw_scene(ae_grammar *g) {
    const size_t p = draw(g, COUNT(places)), w = draw(g, COUNT(weathers)), t = draw(g, COUNT(times));
    const size_t spot = draw(g, 4), turn = 1 + draw(g, 2);
    ae_slot_set(g, "place", places[p].word);
    ae_slot_set(g, "see", places[p].see);
    ae_slot_set(g, "hide", places[p].spots[spot]);
    ae_slot_set(g, "wrong1", places[p].spots[(spot + turn) % 4]);
    ae_slot_set(g, "wrong2", places[p].spots[(spot + turn + 1) % 4]);
    ae_slot_set(g, "weather", weathers[w].word);
    ae_slot_set(g, "sky", weathers[w].sky);
    ae_slot_set(g, "sky.end", weathers[w].end);
    ae_slot_set(g, "wear", weathers[w].wear);
    ae_slot_set(g, "time", times[t].word);
    ae_slot_set(g, "next", times[t].next);
}

static void set_count(ae_grammar *g, const char *slot, size_t n, const char *one, const char *many) {
    char text[AE_SLOT_BYTES];
    snprintf(text, sizeof text, "%s %s", numbers[n], n == 1 ? one : many);
    ae_slot_set(g, slot, text);
}

static void set_aloud(ae_grammar *g, const char *slot, size_t n) {
    char text[AE_SLOT_BYTES] = "^";
    size_t used = 1;
    for (size_t i = 1; i <= n; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", numbers[i], i < n ? ", " : "!");
    ae_slot_set(g, slot, text);
}

static void draw_counts(ae_grammar *g) {
    const size_t have = 3 + draw(g, 6), gave = 1 + draw(g, have - 2), more = 1 + draw(g, 12 - have);
    const size_t f = draw(g, COUNT(foods)), k = draw(g, COUNT(finds));
    ae_slot_set(g, "food", foods[f].one);
    ae_slot_set(g, "foods", foods[f].many);
    set_count(g, "have", have, foods[f].one, foods[f].many);
    set_count(g, "gave", gave, foods[f].one, foods[f].many);
    set_count(g, "left", have - gave, foods[f].one, foods[f].many);
    ae_slot_set(g, "find", finds[k][0]);
    ae_slot_set(g, "finds", finds[k][1]);
    set_count(g, "found", have, finds[k][0], finds[k][1]);
    set_count(g, "more", more, finds[k][0], finds[k][1]);
    set_count(g, "sum", have + more, finds[k][0], finds[k][1]);
    set_aloud(g, "aloud", have);
    set_aloud(g, "aloud.more", more);
}

static void draw_trip(ae_grammar *g) {
    static const char *const slots[] = {"pack1", "pack2", "pack3"};
    const size_t first = draw(g, COUNT(packs)), step = 1 + 2 * draw(g, COUNT(packs) / 2);
    for (size_t i = 0; i < COUNT(slots); i++) {
        const size_t k = (first + i * step) % COUNT(packs);
        ae_slot_set(g, slots[i], packs[k].word);
        ae_slot_set_part(g, slots[i], "event", packs[k].event);
        ae_slot_set_part(g, slots[i], "use", packs[k].use);
    }
    ae_slot_set(g, "ride", rides[draw(g, COUNT(rides))]);
}

static void draw_tasks(ae_grammar *g) {
    const size_t s = draw(g, COUNT(skills)), n = draw(g, COUNT(shadows));
    ae_slot_set(g, "skill", skills[s].word);
    ae_slot_set_part(g, "skill", "try", skills[s].attempt);
    ae_slot_set_part(g, "skill", "fail", skills[s].fail);
    ae_slot_set(g, "shadow", shadows[n].word);
    ae_slot_set_part(g, "shadow", "noise", shadows[n].noise);
}

void ae_world_draw(ae_grammar *g) {
    draw_cast(g);
    draw_trait(g);
    draw_thing(g);
    draw_scene(g);
    draw_counts(g);
    draw_trip(g);
    draw_tasks(g);
}

typedef struct {
    size_t of[2];
} two;

static two draw_two(ae_grammar *g, size_t n) {
    const size_t first = draw(g, n);
    return (two){{first, (first + 1 + draw(g, n - 1)) % n}};
}

/* A quick squirrel and her friend who is quick would both be quick. */
static two draw_traits(ae_grammar *g) {
    two t;
    do t = draw_two(g, COUNT(traits));
    while (strstr(ae_slot_get(g, "a.kind"), traits[t.of[1]].word) ||
           strstr(ae_slot_get(g, "b.kind"), traits[t.of[0]].word));
    return t;
}

/* Two hiding places which name none of the things and colours: no ball next to a boat when the friends have a boat. */
static two draw_spots(ae_grammar *g, const char *const spots[4], two colour, two noun) {
    two s;
    bool named;
    do {
        s = draw_two(g, 4);
        named = false;
        for (int i = 0; i < 4; i++) {
            const char *spot = spots[s.of[i / 2]];
            named |= strstr(spot, colours[colour.of[i % 2]]) || strstr(spot, things[noun.of[i % 2]].word);
        }
    } while (named);
    return s;
}

static void draw_belongings(ae_grammar *g, size_t spots_of) {
    static const char *const who[] = {"a", "b"};
    const two t = draw_traits(g), c = draw_two(g, COUNT(colours)), n = draw_two(g, COUNT(things));
    const two h = draw_two(g, COUNT(homes)), k = draw_two(g, 8);
    const two s = draw_spots(g, places[spots_of].spots, c, n);
    const size_t find = draw(g, COUNT(finds));
    const two from = draw_two(g, COUNT(relatives));
    for (size_t i = 0; i < COUNT(who); i++) {
        char text[AE_SLOT_BYTES];
        ae_slot_set_part(g, who[i], "trait", traits[t.of[i]].word);
        ae_slot_set_part(g, who[i], "colour", colours[c.of[i]]);
        ae_slot_set_part(g, who[i], "noun", things[n.of[i]].word);
        ae_slot_set_part(g, who[i], "home", homes[h.of[i]]);
        ae_slot_set_part(g, who[i], "giver", relatives[from.of[i]].name);
        ae_slot_set_part(g, who[i], "hide", places[spots_of].spots[s.of[i]]);
        snprintf(text, sizeof text, "%s %s", numbers[2 + k.of[i]], finds[find][1]);
        ae_slot_set_part(g, who[i], "found", text);
    }
    ae_slot_set(g, "finds", finds[find][1]);
}

void ae_world_draw_two(ae_grammar *g) {
    draw_cast(g);
    const two p = draw_two(g, COUNT(places)), w = draw_two(g, COUNT(weathers)), t = draw_two(g, COUNT(times));
    const two d = draw_two(g, COUNT(deeds));
    ae_slot_set(g, "place", places[p.of[0]].word);
    ae_slot_set(g, "place.not", places[p.of[1]].word);
    ae_slot_set(g, "weather", weathers[w.of[0]].word);
    ae_slot_set(g, "weather.not", weathers[w.of[1]].word);
    ae_slot_set(g, "time", times[t.of[0]].word);
    ae_slot_set(g, "time.not", times[t.of[1]].word);
    ae_slot_set(g, "deed1", deeds[d.of[0]]);
    ae_slot_set(g, "deed2", deeds[d.of[1]]);
    draw_belongings(g, p.of[0]);
}
