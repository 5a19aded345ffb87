#include "cli/bench.h"
#include "cli/bench_open.h"
#include "cli/bench_products.h"
#include "cli/dtype.h"
#include "cli/openblas.h"
#include "cli/verbs.h"
#include "core/affinity.h"
#include "core/load.h"
#include "core/log.h"
#include "core/machine.h"
#include "core/threads.h"
#include "ops/limits/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *shape; /* shape: used when none is asked for */
    ae_bench_fn *run, *check; /* check: of arguments that only this mode has, or NULL */
} modes[] = {
    {"train", "s23", ae_bench_train, NULL},
    {"decode", "small-400m", ae_bench_decode, ae_bench_decode_check},
    {"rollout", "small-25m", ae_bench_rollout, ae_bench_rollout_check},
    {"throughput", "small-25m,baseline-25m", ae_bench_throughput, ae_bench_throughput_check},
    {"ops", "s100", ae_bench_ops, NULL},
    {"limits", "s23", ae_bench_limits, NULL},
};
enum { N_MODES = sizeof modes / sizeof *modes };

static const char usage[] =
    "aerie bench train|decode|rollout|throughput|ops|limits [--shape PRESET | --model M] [--flags]\n\n"
    "  train   a whole step on random tokens (forward, backward, clip, AdamW): tok/s, FLOPs, memory\n"
    "  decode  tokens one by one after prefills of several lengths: tok/s, bytes of weights per second\n"
    "  rollout answers as RLHF has them written, several to a prompt: tok/s by batch, share of products\n"
    "  throughput  reading and writing by length, memory of the state: RecurrentGemma and a transformer of "
    "its size\n"
    "  ops     every kernel forward and backward against what bounds it\n"
    "  limits  multiply-adds, products, memory and vector functions of this machine\n\n"
    "With --profile, train and decode take more steps with probes around every op, and print for each its "
    "time, "
    "bytes and FLOPs,\nand the share that the machine's limits, measured beside it, say it could not do "
    "without. "
    "--compare sets the result beside\nan earlier one (bench ... --json >OLD.json).";

/* The kernels that OpenBLAS should have been told of; NULL: it found its own. Debian's does not know the newest processors and falls back
 * to kernels of 2004 on them; a yardstick like that would flatter. And what AERIE_ISA keeps from our products it keeps from those that
 * they are compared with, as on a processor without. */
static const char *kernels_for_openblas(const char *found) {
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    const bool narrow = ae_isa_pick() < AE_ISA_AVX512;
    if (strcmp(found, "Prescott") == 0) return narrow ? "Haswell" : wide[0];
    for (size_t i = 0; narrow && i < sizeof wide / sizeof *wide; i++)
        if (strcmp(found, wide[i]) == 0) return "Haswell";
    return NULL;
}

/* OpenBLAS reads its kernels' name when it is loaded, so the program starts again with the name set. */
static ae_status give_openblas_its_kernels(int argc, char **argv) {
    const ae_openblas *blas;
    const ae_status st = ae_openblas_load(&blas);
    const char *kernels =
        st == AE_OK && !getenv("OPENBLAS_CORETYPE") ? kernels_for_openblas(blas->get_corename()) : NULL;
    if (!kernels) return st;
    const char **args = calloc((size_t)argc + 2, sizeof *args);
    if (!args) return AE_FAIL(AE_ERR_RESOURCE, "bench: out of memory");
    args[0] = "aerie";
    for (int i = 0; i < argc; i++) args[i + 1] = argv[i];
    setenv("OPENBLAS_CORETYPE", kernels, 1);
    ae_affinity_widen();
    execv("/proc/self/exe", (char *const *)(uintptr_t)args);
    free(args);
    return AE_FAIL(AE_ERR_DEFECT, "bench: starting again with OPENBLAS_CORETYPE set failed: %s",
                   strerror(errno));
}

static ae_status tell_machine(ae_bench *b) {
    char blas[128], dnnl[64];
    ae_status st = ae_sgemm_name(AE_SGEMM_OPENBLAS, blas, sizeof blas);
    if (st == AE_OK) st = ae_sgemm_name(AE_SGEMM_ONEDNN, dnnl, sizeof dnnl);
    if (st != AE_OK) return st;
    ae_bench_say(b, "machine    %s, %d %s of %d cores, %.1f GB of memory available", ae_cpu_name(),
                 b->be.threads, b->be.threads == 1 ? "thread" : "threads", ae_usable_cores(),
                 (double)ae_memory_available_bytes() / 1e9);
    ae_bench_say(b, "kernels    %s (the machine: up to %s), backend %s", b->be.kernels,
                 ae_isa_name(ae_isa_pick()), b->be.name);
    ae_bench_say(b, "libraries  %s; %s", dnnl, blas);
    ae_bench_put_text(b, "machine.cpu", ae_cpu_name());
    ae_bench_put(b, "machine.threads", b->be.threads);
    ae_bench_put_text(b, "machine.kernels", b->be.kernels);
    ae_bench_put_text(b, "dtype",
                      b->weights.weights != AE_WEIGHT_F32 ? ae_weight_type_name(b->weights.weights)
                      : b->be.dtype == AE_DTYPE_BF16      ? "bf16"
                                                          : "f32");
    ae_bench_put_text(b, "machine.openblas", blas);
    ae_bench_put_text(b, "machine.onednn", dnnl);
    return AE_OK;
}

/* Such modes use a model: they take --model, and --dtype is that of its weights. */
static bool decodes(ae_bench_fn *run) {
    return run == ae_bench_decode || run == ae_bench_rollout;
}

static bool takes_batches(ae_bench_fn *run) {
    return run == ae_bench_rollout || run == ae_bench_throughput;
}

/* Several batches are for some modes. */
static ae_status read_batch(ae_bench *b, ae_bench_fn *run) {
    size_t n;
    if (!b->batches)
        b->batches = run == ae_bench_rollout ? "1,16,64" : run == ae_bench_throughput ? "1,8" : "1";
    return takes_batches(run) ? AE_OK : ae_bench_read_list("batch", b->batches, 4096, &b->batch, 1, &n);
}

/* Figures of a machine that others use too are no figures of it. */
static ae_status run_watched(ae_bench *b, ae_bench_fn *run) {
    const double many = 0.1;
    ae_load before, after;
    const bool watched = ae_load_read(&before);
    const ae_status st = run(b);
    if (st != AE_OK || !watched || !ae_load_read(&after)) return st;
    const double others = ae_load_others(&before, &after);
    ae_bench_put(b, "others", others);
    if (others > many)
        ae_warn("other programs took %.0f %% of this machine meanwhile: read shares and ratios, not rates",
                100 * others);
    return AE_OK;
}

static ae_status run_mode(ae_bench *b, size_t mode) {
    ae_bench_fn *run = modes[mode].run;
    json_t *old = NULL;
    ae_backend_options options = {.threads = ae_threads_start((int)b->threads)};
    ae_status st = b->compare ? ae_json_load(&old, b->compare) : AE_OK;
    const bool throughput = run == ae_bench_throughput, weights = throughput || decodes(run);
    if (st == AE_OK && !throughput) st = ae_bench_find(b, b->shape);
    if (st == AE_OK)
        st = weights ? ae_weights_parse(b->dtype, &b->weights) : ae_dtype_parse(b->dtype, &options);
    if (st == AE_OK && modes[mode].check) st = modes[mode].check(b);
    if (weights) options.dtype = ae_dtype_beside(b->weights.weights);
    if (st == AE_OK) st = ae_backend_cpu(&b->be, &options);
    if (st != AE_OK) goto out;
    b->report = json_object();
    ae_bench_put_text(b, "bench", modes[mode].name);
    AE_TRY(tell_machine(b));
    st = run_watched(b, run);
    if (st == AE_OK && old) st = ae_bench_compare(b, old, b->compare);
    if (st == AE_OK && b->json) st = ae_json_write_line(b->report, stdout, "standard output");
out:
    ae_backend_free(&b->be);
    json_decref(b->report);
    json_decref(old);
    return st;
}

static ae_status pick_mode(const ae_arg_list *words, size_t *mode) {
    const char *names[N_MODES];
    for (size_t i = 0; i < N_MODES; i++) names[i] = modes[i].name;
    if (words->n != 1)
        return AE_FAIL(
            AE_ERR_USAGE,
            "bench: expected one of train, decode, rollout, throughput, ops, limits, found %zu words",
            words->n);
    for (*mode = 0; *mode < N_MODES; ++*mode)
        if (strcmp(words->items[0], names[*mode]) == 0) return AE_OK;
    const char *near = ae_nearest_word(words->items[0], names, N_MODES);
    return AE_FAIL(AE_ERR_USAGE,
                   "bench: %s: expected train, decode, rollout, throughput, ops or limits%s%s%s",
                   words->items[0], near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

ae_status ae_verb_bench(int argc, char **argv) {
    ae_bench b = {.prefill = "1,8192,65536",
                  .steps = 5,
                  .tokens = 32,
                  .prompt = 512,
                  .answers = 8,
                  .after = 4096,
                  .lengths = "512,2048,8192,16384,32768,65536",
                  .recompute = -1,
                  .recompute_mlps = -1};
    bool help = false;
    ae_arg_list words = {0};
    const ae_arg table[] = {
        {.name = "shape",
         .type = AE_ARG_TEXT,
         .to = &b.shape,
         .value = "PRESET",
         .help = "train: s23, decode: small-400m, rollout: small-25m, ops: s100 unless given; throughput: "
                 "presets or "
                 "models side by side, small-25m,baseline-25m unless given"},
        {.name = "model",
         .type = AE_ARG_TEXT,
         .to = &b.model,
         .value = "M",
         .help = "decode, rollout: a Hugging Face folder, a checkpoint or a run instead of a shape"},
        {.name = "row-tokens",
         .type = AE_ARG_INT,
         .to = &b.row_tokens,
         .min = 0,
         .max = 1e7,
         .fallback = "0",
         .help = "tokens of a row; 0: 2048, for s100 8192"},
        {.name = "batch",
         .type = AE_ARG_TEXT,
         .to = &b.batches,
         .value = "N,N",
         .help = "rows of a training step, sequences decoded at once: 1 unless given; rollout: 1,16,64; "
                 "throughput: 1,8"},
        {.name = "steps",
         .type = AE_ARG_INT,
         .to = &b.steps,
         .min = 1,
         .max = 1000,
         .fallback = "5",
         .help = "timed training steps, rounds of a kernel; the median counts"},
        {.name = "micro-rows",
         .type = AE_ARG_INT,
         .to = &b.micro_rows,
         .min = 0,
         .max = 4096,
         .fallback = "0",
         .help = "train: rows in memory at once; 0: chosen by the memory there is"},
        {.name = "recompute-mlps",
         .type = AE_ARG_INT,
         .to = &b.recompute_mlps,
         .min = -1,
         .max = AE_BLOCKS_MAX,
         .fallback = "-1",
         .help = "train: blocks whose MLP makes two products twice; -1: as few as memory allows"},
        {.name = "memory-gb",
         .type = AE_ARG_REAL,
         .to = &b.memory_gb,
         .min = 0,
         .max = 1e6,
         .fallback = "0",
         .help = "train: memory that may be taken; 0: what the machine has"},
        {.name = "recompute",
         .type = AE_ARG_INT,
         .to = &b.recompute,
         .min = -1,
         .max = AE_BLOCKS_MAX,
         .fallback = "-1",
         .help = "train: blocks that run forward again in backward; -1: as few as fit"},
        {.name = "prefill",
         .type = AE_ARG_TEXT,
         .to = &b.prefill,
         .value = "N,N",
         .fallback = "1,8192,65536",
         .help = "decode: tokens before the timed ones"},
        {.name = "prompt",
         .type = AE_ARG_INT,
         .to = &b.prompt,
         .min = 1,
         .max = 1e6,
         .fallback = "512",
         .help = "rollout: tokens of a prompt"},
        {.name = "answers",
         .type = AE_ARG_INT,
         .to = &b.answers,
         .min = 1,
         .max = 4096,
         .fallback = "8",
         .help = "rollout: answers to a prompt, which is read once for all"},
        {.name = "after",
         .type = AE_ARG_INT,
         .to = &b.after,
         .min = 1,
         .max = 1e6,
         .fallback = "4096",
         .help = "rollout: tokens read before the speed is measured once more"},
        {.name = "lengths",
         .type = AE_ARG_TEXT,
         .to = &b.lengths,
         .value = "N,N",
         .fallback = "512,2048,8192,16384,32768,65536",
         .help = "throughput: tokens read before others are written, rising"},
        {.name = "limit-s",
         .type = AE_ARG_INT,
         .to = &b.limit_s,
         .min = 0,
         .max = 1e9,
         .fallback = "300",
         .help = "throughput: seconds of reading after which longer lengths are left out; 0: none are"},
        {.name = "tokens",
         .type = AE_ARG_INT,
         .to = &b.tokens,
         .min = 3,
         .max = 1e6,
         .fallback = "32",
         .help = "decode, throughput: timed tokens after each prefill or length; rollout: of each answer"},
        {.name = "dtype",
         .type = AE_ARG_TEXT,
         .to = &b.dtype,
         .value = AE_DTYPE_CHOICES "|int8|int4",
         .fallback = "f32",
         .help = "of the activations; decode, rollout, throughput: of the weights, auto with --model"},
        ae_arg_threads(&b.threads),
        {.name = "profile",
         .type = AE_ARG_FLAG,
         .to = &b.profile,
         .help = "train, decode: where the time goes, op by op"},
        {.name = "compare",
         .type = AE_ARG_TEXT,
         .to = &b.compare,
         .value = "OLD.json",
         .help = "ratios to an earlier result of the same mode"},
        {.name = "json", .type = AE_ARG_FLAG, .to = &b.json, .help = "one JSON object"},
    };
    const size_t n = sizeof table / sizeof *table;
    size_t mode = 0;
    ae_status st = ae_args_parse(argc, argv, table, n, &words, &help);
    if (st == AE_OK && help) {
        ae_args_help(usage, table, n, stdout);
        goto out;
    }
    if (st == AE_OK) st = pick_mode(&words, &mode);
    if (st == AE_OK) st = give_openblas_its_kernels(argc, argv);
    if (st != AE_OK) goto out;
    if (b.model && (b.shape || !decodes(modes[mode].run))) {
        st = AE_FAIL(AE_ERR_USAGE,
                     "--model: expected with bench decode or rollout and without --shape, found %s",
                     b.shape ? "both" : modes[mode].name);
        goto out;
    }
    AE_TRY(read_batch(&b, modes[mode].run));
    if (!b.dtype) b.dtype = b.model ? "auto" : "f32";
    if (!b.shape) b.shape = b.model ? b.model : modes[mode].shape;
    if (!b.row_tokens) b.row_tokens = strcmp(b.shape, "s100") == 0 ? 8192 : 2048;
    st = run_mode(&b, mode);
out:
    ae_arg_list_free(&words);
    return st;
}
