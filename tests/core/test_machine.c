#include "core/clock.h"
#include "core/machine.h"
#include "tests/core/scratch.h"

#include <criterion/redirect.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

Test(machine, time_goes_forward) {
    double before = ae_now_s(), after = ae_now_s();
    for (int i = 0; i < 100 && after == before; i++) after = ae_now_s();
    cr_assert_gt(after, before);
}

Test(machine, memory_in_use_is_seen) {
    enum { BYTES = 64 << 20 };
    size_t rss = ae_rss_bytes(), peak = ae_peak_rss_bytes();
    char *block = malloc(BYTES);
    cr_assert_not_null(block);
    memset(block, 1, BYTES);
    cr_assert_gt(ae_rss_bytes(), rss + BYTES / 2);
    cr_assert_gt(ae_peak_rss_bytes(), rss + BYTES / 2);
    cr_assert_geq(ae_peak_rss_bytes(), peak);
    cr_assert_eq(block[BYTES / 3], 1);
    free(block);
}

Test(machine, memory_available_is_plausible) {
    size_t bytes = ae_memory_available_bytes();
    cr_assert_gt(bytes, (size_t)16 << 20);
    cr_assert_lt(bytes, (size_t)1 << 50);
}

#ifndef __SANITIZE_ADDRESS__ /* whose own address space is beyond any limit */
Test(machine, limit_of_the_address_space_counts) {
    struct rlimit space;
    cr_assert_eq(getrlimit(RLIMIT_AS, &space), 0);
    space.rlim_cur = (rlim_t)1 << 30;
    cr_assert_eq(setrlimit(RLIMIT_AS, &space), 0);
    cr_assert_leq(ae_memory_available_bytes(), (size_t)1 << 30);
}
#endif

Test(machine, cores_follow_the_affinity) {
    cpu_set_t set, one;
    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    cr_assert(ae_usable_cores() >= 1 && ae_usable_cores() <= CPU_COUNT(&set));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++) {
        if (CPU_ISSET(i, &set)) CPU_SET(i, &one);
    }
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(ae_usable_cores(), 1);
}

static void put(const char *name, const char *text) {
    scratch_write(name, text, strlen(text));
}

Test(machine, cores_follow_the_quota_of_every_folder_above, .init = scratch_make, .fini = scratch_remove) {
    cr_assert_eq(ae_folder_make(scratch_path("a/b")), AE_OK);
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "/a/b", 64), 64, "no limits at all");
    put("a/b/cpu.max", "max 100000\n");
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "/a/b", 64), 64);
    put("a/cpu.max", "250000 100000\n");
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "/a/b", 64), 3);
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "/a/b", 2), 2);
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "/", 64), 64, "a folder below says nothing");
    put("cpu.max", "20000 100000\n");
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "/a/b", 64), 1);
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "/not/there", 64), 1, "inside a container the root counts");
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "", 64), 1);
}

Test(machine, cores_follow_the_quota_of_older_cgroups, .init = scratch_make, .fini = scratch_remove) {
    put("cpu.cfs_quota_us", "-1\n");
    put("cpu.cfs_period_us", "100000\n");
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "/", 64), 64);
    put("cpu.cfs_quota_us", "400000\n");
    cr_assert_eq(ae_cgroup_cores(scratch_folder, "/", 64), 4);
}

Test(machine, processor_has_a_name) {
    cr_assert_gt(strlen(ae_cpu_name()), 2);
    cr_assert_null(strchr(ae_cpu_name(), '\n'));
}

Test(machine, isa_is_capped) {
    unsetenv("AERIE_ISA");
    ae_isa best = ae_isa_pick();
    cr_assert_eq(best >= AE_ISA_AVX512,
                 __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                     __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"));
    setenv("AERIE_ISA", "avx2", 1);
    cr_assert_eq(ae_isa_pick(), AE_ISA_AVX2);
    setenv("AERIE_ISA", "avx512", 1);
    cr_assert_leq(ae_isa_pick(), AE_ISA_AVX512);
    setenv("AERIE_ISA", "amx", 1);
    cr_assert_eq(ae_isa_pick(), best);
    cr_assert_str_eq(ae_isa_name(AE_ISA_AVX512), "avx512");
}

/* Whether the kernel lists the flag for the first processor. */
static bool kernel_lists(const char *flag) {
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *f = fopen("/proc/cpuinfo", "re");
    cr_assert_not_null(f);
    while (getline(&line, &room, f) > 0) {
        if (strncmp(line, "flags", 5) != 0) continue;
        for (char *rest = line, *word = strtok_r(rest, " \t\n", &rest); word;
             word = strtok_r(NULL, " \t\n", &rest))
            found |= strcmp(word, flag) == 0;
        break;
    }
    free(line);
    fclose(f);
    return found;
}

Test(machine, bf16_instructions_are_those_that_the_kernel_lists) {
    cr_assert_eq(ae_machine_has_bf16(), kernel_lists("avx512_bf16"));
    cr_assert(!ae_machine_has_amx() || kernel_lists("amx_bf16"), "the kernel may still refuse its leave");
    const bool amx = ae_machine_has_amx();
    setenv("AERIE_ISA", "avx2", 1);
    cr_assert_eq(ae_machine_has_amx(), amx, "a cap of the kernels is not the machine's");
    unsetenv("AERIE_ISA");
    cr_assert_eq(ae_isa_pick() == AE_ISA_AMX, amx);
}

Test(machine, unknown_isa_is_ignored_with_one_warning, .init = cr_redirect_stderr) {
    unsetenv("AERIE_ISA");
    ae_isa best = ae_isa_pick();
    setenv("AERIE_ISA", "sse", 1);
    cr_assert_eq(ae_isa_pick(), best);
    cr_assert_eq(ae_isa_pick(), best);
    fflush(stderr);
    cr_assert_stderr_eq_str(
        "warning: AERIE_ISA: expected avx2, avx512 or amx, found \"sse\"; it is ignored\n");
}
