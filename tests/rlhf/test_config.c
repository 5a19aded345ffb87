#include "rlhf/stray_keys.h"
#include "tests/train/rig.h"
#include "train/places.h"
#include "train/reward.h"

#include <stdio.h>
#include <string.h>

static ae_rlhf_config c;

static void open_it(void) {
    ASSERT_OK(ae_rlhf_config_init(&c));
}
static void close_it(void) {
    ae_rlhf_config_free(&c);
}
TestSuite(rlhf_config, .init = open_it, .fini = close_it);

static void set(const char *assignment) {
    ASSERT_OK(ae_config_set(&c.tune.train.table, assignment, "test"));
}

/* With all that a run needs. */
static void set_whole(void) {
    set("run.dir=x");
    set("data.train=y");
    set("model.init=z");
    set("optim.lr=1e-4"); /* or the shape of model.init would be read */
}

Test(rlhf_config, methods_by_their_names) {
    for (int i = 0; i <= AE_RL_BEST_OF_N; i++) {
        char assignment[64];
        snprintf(assignment, sizeof assignment, "rl.method=%s", ae_rl_method_text(i));
        set(assignment);
        cr_assert_eq(c.keys.rl.method, i);
        cr_assert_eq(ae_rl_is_offline(i), i == AE_RL_DPO || i == AE_RL_IPO || i == AE_RL_KTO);
    }
}

/* What the method decides gives way to what is given. */
Test(rlhf_config, a_method_has_defaults_of_its_own) {
    set_whole();
    set("rl.method=warp");
    ASSERT_OK(ae_rlhf_config_defaults(&c));
    cr_assert(c.keys.rl.beta == 0.1 && c.keys.rl.temperature == 0.9 && c.keys.rl.samples == 1);
    set("rl.method=grpo");
    set("rl.beta=0.3");
    set("rl.kl=exact");
    ASSERT_OK(ae_rlhf_config_defaults(&c));
    cr_assert(c.keys.rl.beta == 0.3 && c.keys.rl.temperature == 1 && c.keys.rl.samples == 8);
    cr_assert_eq(c.keys.rl.kl, AE_RL_KL_EXACT);
    cr_assert(c.tune.length.epochs == 1);
    cr_assert(c.tune.train.optim.lr == 1e-4);
    ASSERT_OK(ae_rlhf_config_check(&c));
}

typedef struct {
    const char *assignments[2], *says;
} fault;

Test(rlhf_config, faults_by_their_keys) {
    static const fault faults[] = {
        {{"rl.method=distill"}, "distill.teacher"},
        {{"train.row_tokens=64", "rl.max_new=64"}, "rl.max_new: expected less than train.row_tokens (64)"},
        {{"rl.kl_horizon=20"}, "rl.kl_target"},
        {{"rl.truncated_penalty=2"}, "rl.truncated=penalise"},
        {{"lora.alpha=3"}, "lora.rank"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        ae_rlhf_config_free(&c);
        open_it();
        set_whole();
        for (int k = 0; k < 2 && faults[i].assignments[k]; k++) set(faults[i].assignments[k]);
        ASSERT_OK(ae_rlhf_config_defaults(&c));
        ASSERT_FAILS(AE_ERR_USAGE, ae_rlhf_config_check(&c));
        ASSERT_SAYS(faults[i].says);
    }
    ASSERT_FAILS(AE_ERR_USAGE, ae_config_set(&c.tune.train.table, "rl.methode=ppo", "test"));
    ASSERT_SAYS("did you mean \"rl.method\"");
}

typedef struct {
    const char *method, *key, *says; /* NULL: it is read */
} stray;

/* Keys that a method does not read. */
Test(rlhf_config, keys_of_other_methods_are_refused) {
    static const stray strays[] = {
        {"reinforce", "grpo.std=false", "grpo.std: expected rl.method=grpo beside it, found reinforce"},
        {"reinforce", "grpo.std=true", NULL},
        {"reinforce", "warp.members=3", "warp.members"},
        {"reinforce", "rl.kl=exact", NULL},
        {"warp", "reinforce.by_token=true", NULL},
        {"grpo", "reinforce.baseline=batch", "reinforce.baseline: expected rl.method=reinforce or warp"},
        {"ppo", "dpo.nll=1", "dpo.nll"},
        {"online_dpo", "dpo.nll=1", NULL},
        {"online_dpo", "rl.beta=1", NULL},
        {"online_dpo", "rl.kl=k3", "rl.kl: expected rl.method=reinforce, ppo or grpo"},
        {"kto", "dpo.nll=1", "dpo.nll"},
        {"jbond", "bond.b=1", "bond.b"},
        {"jbond", "rl.beta=1", "rl.beta"},
        {"jbond", "rl.beta=0.05", NULL},
        {"bond", "rl.kl_target=1", "rl.kl_target"},
        {"distill", "rl.kl=exact", NULL},
        {"distill", "rl.reference=other", "rl.reference: expected distill.teacher alone"},
        {"best_of_n", "ppo.clip=0.1", "ppo.clip"},
    };
    for (size_t i = 0; i < sizeof strays / sizeof *strays; i++) {
        char method[64];
        snprintf(method, sizeof method, "rl.method=%s", strays[i].method);
        ae_rlhf_config_free(&c);
        open_it();
        set(method);
        ASSERT_OK(ae_rl_stray_keys_check(&c));
        set(strays[i].key);
        if (!strays[i].says) {
            ASSERT_OK(ae_rl_stray_keys_check(&c));
            continue;
        }
        ASSERT_FAILS(AE_ERR_USAGE, ae_rl_stray_keys_check(&c));
        ASSERT_SAYS(strays[i].says);
    }
}

/* ---- from another working directory ---- */

/* The value of a key of text. */
static const char *text_at(const char *key) {
    const char *section;
    const ae_field *f;
    for (size_t i = 0; (f = ae_config_field(&c.tune.train.table, i, &section)) != NULL; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s.%s", section, f->key);
        if (strcmp(name, key) == 0) return *ae_config_text(&c.tune.train.table, i);
    }
    return NULL;
}

Test(rlhf_config, models_are_found_where_the_run_was_started) {
    static const char *const keys[] = {"rl.reference", "ppo.critic",   "distill.teacher",
                                       "reward.head",  "data.heldout", "model.init"};
    train_rig rig;
    static ae_reward_keys reward; /* the table frees its texts after the test */
    char word[512];
    train_rig_open(&rig);
    ASSERT_OK(ae_reward_add_keys(&c.tune.train.table, &reward));
    snprintf(word, sizeof word, "run.from=%s", rig.folder);
    set(word);
    snprintf(word, sizeof word, "data.train=%s", rig.train);
    set(word);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(word, sizeof word, "%s=heldout.h5", keys[i]);
        set(word);
        ASSERT_OK(ae_places_find(&c.tune.train, NULL, 0));
        cr_assert_str_eq(text_at(keys[i]), rig.heldout, "%s", keys[i]);
        snprintf(word, sizeof word, "%s=nowhere.h5", keys[i]);
        set(word);
        if (strcmp(keys[i], "reward.head") == 0 || strcmp(keys[i], "model.init") == 0) {
            ASSERT_OK(ae_places_find(&c.tune.train, NULL, 0));
        } else {
            ASSERT_FAILS(AE_ERR_INPUT, ae_places_find(&c.tune.train, NULL, 0));
            snprintf(word, sizeof word, "%s: expected nowhere.h5 here or at ", keys[i]);
            ASSERT_SAYS(word);
        }
        snprintf(word, sizeof word, "%s=", keys[i]);
        set(word);
    }
    train_rig_close(&rig);
}

static json_t *tree_of(const char *text) {
    json_t *tree = json_loads(text, 0, NULL);
    cr_assert_not_null(tree, "%s", text);
    return tree;
}

/* rl.rewards is a tree: its reward models are found, its programs work where they did. */
Test(rlhf_config, rewards_are_found_where_the_run_was_started) {
    train_rig rig;
    char word[1024], wanted[1024];
    train_rig_open(&rig);
    snprintf(word, sizeof word, "run.from=%s", rig.folder);
    set(word);
    snprintf(word, sizeof word, "data.train=%s", rig.train);
    set(word);
    static const char list[] =
        "[{kind: model, path: heldout.h5, adapter: /dev/null}, {kind: regex, pattern: x.h5}, "
        "{kind: program, command: sh ./train.h5}, {kind: program, command: [cat, /dev/null]}, "
        "{kind: program, command: y, folder: .}]";
    const char *const given[] = {"run.seed=1", "rl.rewards=x"};
    snprintf(word, sizeof word, "rl.rewards=%s", list);
    set(word);
    char *as_it_was = strdup(text_at("rl.rewards"));
    ASSERT_OK(ae_places_find(&c.tune.train, given, 2));
    cr_assert_str_eq(text_at("rl.rewards"), as_it_was, "what is given now counts from here");
    free(as_it_was);
    ASSERT_OK(ae_places_find(&c.tune.train, NULL, 0));
    snprintf(
        wanted, sizeof wanted,
        "[{\"kind\":\"model\",\"path\":\"%s\",\"adapter\":\"/dev/null\"},{\"kind\":\"regex\",\"pattern\":"
        "\"x.h5\"},{\"kind\":\"program\",\"command\":\"sh "
        "./train.h5\",\"folder\":\"%s\"},{\"kind\":\"program\","
        "\"command\":[\"cat\",\"/dev/null\"]},{\"kind\":\"program\",\"command\":\"y\",\"folder\":\".\"}]",
        rig.heldout, rig.folder);
    cr_assert_str_eq(text_at("rl.rewards"), wanted);
    set("rl.rewards=[{kind: model, path: nowhere.h5}]");
    ASSERT_FAILS(AE_ERR_INPUT, ae_places_find(&c.tune.train, NULL, 0));
    ASSERT_SAYS("rl.rewards: expected nowhere.h5 here or at ");
    train_rig_close(&rig);
}

/* However its paths are written, a list of rewards is the same where they lead to the same places. */
Test(rlhf_config, rewards_are_the_same_in_the_same_places) {
    static const struct {
        const char *then, *from, *now;
        bool same;
    } cases[] = {
        {"[{\"path\": \"dev/null\"}]", "/", "[{\"path\": \"/dev/null\"}]", true},
        {"[{\"path\": \"dev/null\"}]", "/", "[{\"path\": \"/dev/zero\"}]", false},
        {"[{\"path\": \"dev/null\", \"weight\": 2}]", "/", "[{\"path\": \"/dev/null\"}]", false},
        {"[{\"command\": \"x\"}]", "/dev", "[{\"folder\": \"/dev\", \"command\": \"x\"}]", true},
        {"[{\"command\": \"x\"}]", "/dev", "[{\"folder\": \"/\", \"command\": \"x\"}]", false},
        {"[{\"command\": \"x\"}]", "", "[{\"folder\": \".\", \"command\": \"x\"}]", true},
        {"[{\"command\": \"x\", \"weight\": 1.0}]", "/dev", "[{\"weight\": 1.0, \"command\": \"x\"}]", true},
        {"[{\"command\": [\"x\", \"null\"]}, {\"path\": \"null\"}]", "/dev",
         "[{\"command\": [\"x\", \"null\"]}, {\"path\": \"/dev/null\"}]", false},
        {"[{\"command\": \"x\"}, {\"path\": \"null\"}]", "/dev",
         "[{\"command\": \"x\"}, {\"path\": \"/dev/null\"}]", true},
        {"[{\"pattern\": \"dev/null\"}]", "/", "[{\"pattern\": \"/dev/null\"}]", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *then = tree_of(cases[i].then), *now = tree_of(cases[i].now);
        cr_assert_eq(ae_places_same(then, cases[i].from, now), cases[i].same, "case %zu", i);
        json_decref(then);
        json_decref(now);
    }
}
