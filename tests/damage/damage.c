/* Files cut off at many places, and files with bytes, numbers, keys and braces changed, opened the way the program opens them: each is
 * refused as input in one line that says where, or gives exactly what it now says; never a crash, a hang, a big allocation or other
 * numbers.
 * usage: test_damage CUTS MUTATIONS [SEED] */
#include "cli/verbs.h"
#include "core/file.h"
#include "core/h5.h"
#include "core/log.h"
#include "data/hash.h"
#include "tests/damage/looks.h"

#include <glob.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CASE_SECONDS = 20, MEMORY_MB = 2048, FAILURES_SHOWN = 20 };

static char root[256], now[512]; /* the case at hand */
static long failures, refused, accepted, wholes;

/* ---- what to do when a case ends the program ---- */

static void tell_case(void) {
    (void)!write(STDOUT_FILENO, now, strlen(now));
}

static void ended(int signal) {
    static const char hang[] = "hangs or crashes: ";
    (void)!write(STDOUT_FILENO, hang, sizeof hang - 1);
    tell_case();
    _exit(128 + signal);
}

/* HDF5 loses some memory of its own where a file breaks off. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

extern void __sanitizer_set_death_callback(void (*)(void)) __attribute__((weak));

/* Without a sanitizer, whose shadow is bigger than any limit, memory beyond what such files need is not there. */
static void guard(void) {
    static const int signals[] = {SIGALRM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(tell_case);
        signal(SIGALRM, ended);
        return;
    }
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) signal(signals[i], ended);
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%ld", &pages) == 1) {
        const rlim_t bytes = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)MEMORY_MB << 20);
        setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes});
    }
    if (f) fclose(f);
}

/* ---- material: a small run, its exports, and copies of single files ---- */

static char *in_root(const char *name) {
    return ae_path_join(root, name);
}

static void call(ae_verb_fn *verb, const char *words) {
    char *copy = strdup(words), *rest = NULL, *argv[32];
    int argc = 0;
    for (char *w = strtok_r(copy, " ", &rest); w && argc < 31; w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    argv[argc] = NULL;
    if (verb(argc, argv) != AE_OK) {
        printf("%s: %s\n", words, ae_error_message());
        exit(1);
    }
    free(copy);
}

static void write_text(const char *name) {
    FILE *f = fopen(name, "we");
    for (int i = 0; f && i < 400; i++)
        fprintf(f, "the %d birds of hill %d sing %d songs\n", i % 7, i % 31, i * i % 97);
    if (!f || fclose(f) != 0) exit(1);
}

static void copy_file(const char *from, const char *to) {
    char *bytes = NULL;
    size_t n = 0;
    if (ae_file_read(from, &bytes, &n) != AE_OK || ae_file_write(to, bytes, n) != AE_OK) exit(1);
    free(bytes);
}

static void put_set(hid_t file, const char *name, hid_t type, hsize_t n, const void *x) {
    const hid_t space = H5Screate_simple(1, &n, NULL);
    const hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) < 0) exit(1);
    H5Dclose(set);
    H5Sclose(space);
}

static void put_attr(hid_t file, const char *name, hid_t type, const void *x) {
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attr = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (H5Awrite(attr, type, x) < 0) exit(1);
    H5Aclose(attr);
    H5Sclose(space);
}

/* A token set as other programs write it: in the oldest form, without checksums, with texts of variable length that nobody asks for; and,
 * where `variable`, one that is asked for. */
static void make_foreign(const char *path, bool variable) {
    enum { N = 300 };
    const char *words[] = {"the birds of the hill", "sing", "songs"};
    const int64_t starts[] = {0, 100, N}, vocab = 290;
    int64_t ids[N];
    for (int i = 0; i < N; i++) ids[i] = i * i % vocab;
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, H5T_VARIABLE);
    put_set(file, "tokens", H5T_NATIVE_INT64, N, ids);
    put_set(file, "doc_starts", H5T_NATIVE_INT64, 3, starts);
    put_set(file, "notes", text, 3, words);
    put_attr(file, "vocab_size", H5T_NATIVE_INT64, &vocab);
    put_attr(file, "source", text, &words[0]);
    if (variable) put_attr(file, "manifest", text, &words[0]);
    H5Tclose(text);
    if (H5Fclose(file) < 0) exit(1);
}

/* Rows with notes on some of them. */
static void write_rows(void) {
    FILE *pairs = fopen("pairs.jsonl", "we"), *prompts = fopen("prompts.jsonl", "we");
    if (!pairs || !prompts) exit(1);
    for (int i = 0; i < 8; i++) {
        fprintf(
            pairs,
            "{\"prompt\": \"bird %d\", \"chosen\": \"sings\", \"rejected\": \"song %d\", \"margin\": %d}\n",
            i, i, i);
        fprintf(prompts, "{\"prompt\": \"bird %d\", \"meta\": %s}\n", i,
                i % 3 ? "{\"answer\": [1, 2]}" : "null");
    }
    if (fclose(pairs) != 0 || fclose(prompts) != 0) exit(1);
}

static void make_material(void) {
    write_text("text.txt");
    write_rows();
    call(ae_verb_tokenizer, "tokenizer train --input text.txt --output t.model --vocab-size 290");
    call(ae_verb_data,
         "data prepare --input text.txt --tokenizer t.model --output set --split-on \\n --quiet");
    call(ae_verb_data, "data prepare --kind pairs --input pairs.jsonl --tokenizer t.model --output pairs "
                       "--heldout 0 --quiet");
    call(ae_verb_data,
         "data prepare --kind prompts --input prompts.jsonl --tokenizer t.model --output prompts "
         "--heldout 0 --quiet");
    call(ae_verb_pretrain,
         "pretrain run.dir=run model.width=16 model.recurrent_width=16 model.mlp_width=32 model.heads=2 "
         "model.blocks=3 "
         "model.window=8 data.train=set/train.h5 data.heldout=set/heldout.h5 train.row_tokens=16 "
         "train.batch_rows=2 "
         "train.steps=4 train.checkpoint_every=2 train.eval_every=2 train.keep=1 train.keep_best=false "
         "train.carry_state=true data.shuffle=false train.sample_tokens=0 train.threads=1 "
         "optim.warmup_steps=0");
    call(ae_verb_export, "export --model run --output one --quiet");
    call(ae_verb_export, "export --model run --output sharded --shard-bytes 16000 --quiet");
    call(ae_verb_export, "export --model run --output half --dtype bf16 --quiet");
    call(ae_verb_quantize, "quantize --model run --output int4 --dtype int4 --group 8 --quiet");
    if (ae_folder_make("alone") != AE_OK) exit(1);
    make_foreign("alone/foreign.h5", false);
    make_foreign("alone/variable.h5", true);
    copy_file("t.model", "alone/t.model");
    copy_file("run/metrics.jsonl", "alone/metrics.jsonl");
    copy_file("run/checkpoints/step-000004/config.yaml", "alone/config.yaml");
    copy_file("run/checkpoints/step-000004/state.json", "alone/state.json");
    copy_file("run/checkpoints/step-000004/model.json", "alone/model.json");
    copy_file("run/checkpoints/step-000004/weights.h5", "alone/weights.h5");
}

/* ---- cases ---- */

#define STEP "run/checkpoints/step-000004/"

typedef struct {
    const char *file, *path; /* what is damaged, and what is opened: NULL for the same */
    mutation kind;
    look *open;
    ae_status (*inspect)(const char *path, size_t *faults); /* may be NULL */
    bool checksums;                                         /* whatever is accepted is as before */
    int share;                                              /* of the mutations */
    bool refused;                                           /* as it is */
} subject;

static const subject subjects[] = {
    {STEP "weights.h5", "run", MUTATE_BYTES, look_run, inspect_run, true, 2, false},
    {STEP "optimizer.h5", "run", MUTATE_BYTES, look_run, inspect_run, true, 1, false},
    {STEP "carry.h5", "run", MUTATE_BYTES, look_run, inspect_run, true, 1, false},
    {STEP "model.json", "run", MUTATE_TEXT, look_run, inspect_run, true, 2, false},
    {STEP "state.json", "run", MUTATE_TEXT, look_run, inspect_run, true, 2, false},
    {STEP "config.yaml", "run", MUTATE_TEXT, look_run, inspect_run, true, 1, false},
    {STEP "tokenizer.model", "run", MUTATE_BYTES, look_run, inspect_run, true, 1, false},
    {STEP "DONE", "run", MUTATE_TEXT, look_run, inspect_run, true, 8, false},
    {"set/train.h5", NULL, MUTATE_BYTES, look_token_set, inspect_token_set, true, 16, false},
    {"pairs/train.h5", NULL, MUTATE_BYTES, look_token_set, inspect_token_set, true, 8, false},
    {"prompts/train.h5", NULL, MUTATE_BYTES, look_token_set, inspect_token_set, true, 8, false},
    {"alone/foreign.h5", NULL, MUTATE_BYTES, look_token_set, inspect_token_set, false, 16, false},
    {"alone/variable.h5", NULL, MUTATE_BYTES, look_token_set, inspect_token_set, false, 16, true},
    {"one/config.json", "one", MUTATE_TEXT, look_hf, inspect_folder_hf, false, 16, false},
    {"one/model.safetensors", "one", MUTATE_SAFETENSORS, look_hf, inspect_folder_hf, false, 16, false},
    {"one/tokenizer_config.json", "one", MUTATE_TEXT, look_hf, inspect_folder_hf, true, 1, false},
    {"sharded/model.safetensors.index.json", "sharded", MUTATE_TEXT, look_hf, inspect_folder_hf, true, 10,
     false},
    {"sharded/model-00002-of-*.safetensors", "sharded", MUTATE_SAFETENSORS, look_hf, inspect_folder_hf, false,
     8, false},
    {"half/model.safetensors", "half", MUTATE_SAFETENSORS, look_hf, inspect_folder_hf, false, 8, false},
    {"int4/config.json", "int4", MUTATE_TEXT, look_hf, inspect_folder_hf, false, 8, false},
    {"int4/model.safetensors", "int4", MUTATE_SAFETENSORS, look_hf, inspect_folder_hf, false, 12, false},
    {"alone/t.model", NULL, MUTATE_BYTES, look_tokenizer, inspect_tokenizer, false, 12, false},
    {"alone/config.yaml", NULL, MUTATE_TEXT, look_yaml, NULL, false, 12, false},
    {"alone/state.json", NULL, MUTATE_TEXT, look_state, NULL, false, 12, false},
    {"alone/model.json", NULL, MUTATE_TEXT, look_model_json, NULL, false, 12, false},
    {"alone/weights.h5", NULL, MUTATE_BYTES, look_h5, inspect_tensors, false, 8, false},
    {"alone/metrics.jsonl", NULL, MUTATE_TEXT, look_metrics, NULL, false, 4, false},
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };

static void fail(const char *why) {
    if (++failures <= FAILURES_SHOWN) printf("%s: %.*s\n", why, (int)strcspn(now, "\n"), now);
}

/* A refusal is about the input (a configuration of ours: the command), names the file or one beside it, and is one line. */
static void check_refusal(const subject *s, ae_status st) {
    const char *says = ae_error_message(), *name = strrchr(s->file, '/') + 1;
    char why[600];
    refused++;
    snprintf(why, sizeof why, "status %d, \"%.400s\"", (int)st, says);
    if (st != AE_ERR_INPUT && !(st == AE_ERR_USAGE && s->open == look_yaml))
        fail(why);
    else if (!strstr(says, root) && !strstr(says, name))
        fail(why);
    else if (strchr(says, '\n'))
        fail("more than one line");
}

static void check_inspection(const subject *s, const char *path, bool is_refused) {
    size_t faults = 0;
    if (!s->inspect) return;
    const ae_status st = s->inspect(path, &faults);
    if (st != AE_OK) fail(ae_error_message());
    if (st == AE_OK && is_refused && faults == 0) fail("inspect finds no fault in what was refused");
}

static void write_bytes(const char *path, const content *c) {
    FILE *f = fopen(path, "wbe");
    if (!f || fwrite(c->bytes, 1, c->n, f) != c->n || fclose(f) != 0) {
        printf("%s: cannot be written\n", path);
        exit(1);
    }
}

static void try_case(const subject *s, const content *c, uint64_t *whole) {
    char *file = in_root(s->file), *path = in_root(s->path ? s->path : s->file);
    const char *wrong = NULL;
    uint64_t digest = AE_FNV_START;
    write_bytes(file, c);
    alarm(CASE_SECONDS);
    const ae_status st = s->open(path, c, &digest, &wrong);
    if (*whole == 0) *whole = digest;
    if (wrong)
        fail(wrong);
    else if (st == AE_OK && s->checksums && digest != *whole)
        fail("other numbers than before");
    if (st != AE_OK)
        check_refusal(s, st);
    else
        accepted++;
    check_inspection(s, path, st == AE_ERR_INPUT);
    alarm(0);
    free(file);
    free(path);
}

/* ---- cuts and mutations of one file ---- */

static size_t header_end(const subject *s, const content *c) {
    uint64_t n = 0;
    if (s->kind == MUTATE_SAFETENSORS) memcpy(&n, c->bytes, sizeof n);
    return n > 0 ? 8 + (size_t)n : 512;
}

/* Everywhere in a short file; else the first bytes, the end of the header, the last bytes, and places spread between. */
static long cut_all(const subject *s, const content *c, uint64_t *whole, long budget) {
    const size_t n = c->n, edge = header_end(s, c), step = n > (size_t)budget ? n / (size_t)budget : 1;
    long cases = 0;
    for (size_t at = 0; at < n; at++) {
        const bool near_edge = at < 9 || (at + 1 >= edge && at <= edge + 1) || at + 2 >= n;
        if (!near_edge && at % step != 0) continue;
        snprintf(now, sizeof now, "%s cut to %zu of %zu bytes\n", s->file, at, n);
        content cut = content_cut(c, at);
        try_case(s, &cut, whole);
        content_free(&cut);
        cases++;
    }
    return cases;
}

static long mutate_all(const subject *s, const content *c, uint64_t *whole, long budget, uint64_t seed) {
    for (long i = 0; i < budget; i++) {
        ae_rng rng = ae_rng_make(seed, (uint64_t)i);
        content m = mutate(c, s->kind, &rng);
        snprintf(now, sizeof now, "%s mutated, %ld of seed %llu\n", s->file, i, (unsigned long long)seed);
        try_case(s, &m, whole);
        content_free(&m);
    }
    return budget;
}

static void expect_whole(const subject *s, const content *c, uint64_t *whole) {
    const long before = failures, accepted_before = accepted;
    size_t faults = 0;
    char *path = in_root(s->path ? s->path : s->file);
    snprintf(now, sizeof now, "%s as it was\n", s->file);
    try_case(s, c, whole);
    if ((accepted == accepted_before) != s->refused) fail(s->refused ? "is accepted" : "is refused");
    if (s->inspect && (s->inspect(path, &faults) != AE_OK || (faults > 0) != s->refused))
        fail(s->refused ? "inspect finds no fault" : "inspect finds faults");
    wholes += !s->refused;
    if (failures > before) exit(1);
    free(path);
}

int main(int argc, char **argv) {
    const char *base = getenv("TMPDIR");
    long cuts = argc > 2 ? atol(argv[1]) : 0, mutations = argc > 2 ? atol(argv[2]) : 0, shares = 0,
         n_cuts = 0, n_mutations = 0;
    const uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    if (cuts < 1 || mutations < 1) {
        fputs("usage: test_damage CUTS MUTATIONS [SEED]\n", stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(root, sizeof root, "%s/aerie-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(root) || chdir(root) != 0) return 1;
    make_material();
    ae_log_quiet(true);
    guard();
    for (size_t i = 0; i < SUBJECTS; i++) shares += subjects[i].share;
    for (size_t i = 0; i < SUBJECTS; i++) {
        subject s = subjects[i];
        uint64_t whole = 0;
        content c = {0};
        glob_t found;
        if (glob(s.file, 0, NULL, &found) != 0) return 1;
        s.file = found.gl_pathv[0];
        if (ae_file_read(s.file, &c.bytes, &c.n) != AE_OK) return 1;
        expect_whole(&s, &c, &whole);
        n_cuts += cut_all(&s, &c, &whole, 1 + cuts / SUBJECTS);
        n_mutations += mutate_all(&s, &c, &whole, 1 + mutations * s.share / shares, seed);
        write_bytes(s.file, &c);
        content_free(&c);
        globfree(&found);
    }
    printf("%ld cuts and %ld mutations of %d files: %ld refused, %ld accepted as they now are, %ld wrong\n",
           n_cuts, n_mutations, (int)SUBJECTS, refused, accepted - wholes, failures);
    if (failures == 0 && ae_folder_remove(root) != AE_OK) return 1;
    return failures > 0;
}
