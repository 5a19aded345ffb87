#include "core/machine.h"

#include "core/affinity.h"
#include "core/log.h"

#include <cpuid.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FOLDER_BYTES = 4096, PATH_BYTES = FOLDER_BYTES + 128 };

/* The number behind `key` at the start of a line of a /proc-like file; false when there is none. */
static bool number_after(const char *path, const char *key, double *value) {
    char line[512];
    FILE *f = fopen(path, "re");
    if (f == NULL) return false;
    bool found = false;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        size_t n = strlen(key);
        if (strncmp(line, key, n) != 0) continue;
        char *end;
        *value = strtod(line + n, &end);
        found = end != line + n;
    }
    fclose(f);
    return found;
}

/* Whether a list such as "cpu,cpuacct" has the name. */
static bool lists(const char *list, const char *name) {
    const size_t n = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += at != list;
        if (strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0')) return true;
    }
    return false;
}

/* The folder of this process for one controller: "0::/x" in the second version of cgroups, "7:memory:/x" in
 * the first. */
static bool cgroup_path(const char *controller, char *path, size_t n) {
    char line[PATH_BYTES];
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (f == NULL) return false;
    bool found = false;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        char *names = strchr(line, ':'), *where = names != NULL ? strchr(names + 1, ':') : NULL;
        if (where == NULL) continue;
        *where++ = '\0';
        where[strcspn(where, "\n")] = '\0';
        found = controller[0] == '\0' ? names[1] == '\0' : lists(names + 1, controller);
        if (found) snprintf(path, n, "%s", where);
    }
    fclose(f);
    return found;
}

typedef struct {
    const char *controller, *mount, *limit, *usage, *cache;
} cgroup_kind;

/* Room of one folder: its limit less what is in use; the file cache that the kernel would give back does not
 * count. */
static double cgroup_room(const cgroup_kind *k, const char *folder, double room) {
    char path[PATH_BYTES];
    double limit, usage, cache = 0;
    snprintf(path, sizeof path, "%s%s/%s", k->mount, folder, k->limit);
    if (!number_after(path, "", &limit) || limit >= 0x1p60) return room;
    snprintf(path, sizeof path, "%s%s/%s", k->mount, folder, k->usage);
    if (!number_after(path, "", &usage)) return room;
    snprintf(path, sizeof path, "%s%s/memory.stat", k->mount, folder);
    number_after(path, k->cache, &cache);
    double left = limit - usage + cache;
    if (left < 0) left = 0;
    return left < room ? left : room;
}

/* Limits of all folders above this process's hold; inside a container its path may lead nowhere and the root
 * counts. */
static double cgroup_memory_room(double room) {
    static const cgroup_kind kinds[] = {
        {"", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "},
        {"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
         "total_inactive_file "},
    };
    char folder[FOLDER_BYTES];
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!cgroup_path(kinds[i].controller, folder, sizeof folder)) continue;
        for (;;) {
            room = cgroup_room(&kinds[i], folder, room);
            char *slash = strrchr(folder, '/');
            if (slash == NULL) break;
            *slash = '\0';
        }
    }
    return room;
}

size_t ae_memory_available_bytes(void) {
    double kb = 0, room = 0x1p62;
    if (number_after("/proc/meminfo", "MemAvailable:", &kb)) room = 1024 * kb;
    room = cgroup_memory_room(room);
    struct rlimit space;
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
        double left =
            number_after("/proc/self/status", "VmSize:", &kb) ? (double)space.rlim_cur - 1024 * kb : 0;
        if (left < room) room = left > 0 ? left : 0;
    }
    return (size_t)room;
}

/* Not getrusage: its figure is inherited over exec from a bigger parent. */
size_t ae_peak_rss_bytes(void) {
    double kb = 0;
    return number_after("/proc/self/status", "VmHWM:", &kb) ? (size_t)(1024 * kb) : 0;
}

size_t ae_rss_bytes(void) {
    double kb = 0;
    return number_after("/proc/self/status", "VmRSS:", &kb) ? (size_t)(1024 * kb) : 0;
}

/* "200000 100000" in the second version of cgroups ("max" without a limit), two files in the first (-1
 * without). */
static bool cgroup_quota(const char *folder, double *quota, double *period) {
    char path[PATH_BYTES + sizeof "/cpu.cfs_period_us"];
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        int found = fscanf(f, "%lf %lf", quota, period);
        fclose(f);
        return found == 2;
    }
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!number_after(path, "", quota)) return false;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    return number_after(path, "", period);
}

int ae_cgroup_cores(const char *mount, const char *below, int cores) {
    char folder[PATH_BYTES];
    double quota, period;
    snprintf(folder, sizeof folder, "%s%s", mount, below);
    for (size_t n = strlen(folder); n >= strlen(mount); n--) {
        if (folder[n] != '/' && folder[n] != '\0') continue;
        folder[n] = '\0';
        if (!cgroup_quota(folder, &quota, &period) || quota <= 0 || period <= 0) continue;
        double whole = ceil(quota / period);
        if (whole < cores) cores = (int)whole;
    }
    return cores;
}

static int cores_by_affinity(void) {
    ae_affinity a = ae_affinity_read();
    const int found = a.count;
    ae_affinity_free(&a);
    if (found > 0) return found;
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

int ae_usable_cores(void) {
    static const char *const kinds[][2] = {{"", "/sys/fs/cgroup"}, {"cpu", "/sys/fs/cgroup/cpu"}};
    char folder[FOLDER_BYTES];
    int cores = cores_by_affinity();
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (cgroup_path(kinds[i][0], folder, sizeof folder))
            cores = ae_cgroup_cores(kinds[i][1], folder, cores);
    return cores;
}

static char cpu_name[128] = "unknown processor";

static void find_cpu_name(void) {
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (f == NULL) return;
    while (fgets(line, sizeof line, f) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        char *name = colon + 1 + strspn(colon + 1, " \t");
        snprintf(cpu_name, sizeof cpu_name, "%.*s", (int)strcspn(name, "\n"), name);
        break;
    }
    fclose(f);
}

size_t ae_machine_l2_bytes(void) {
    const long said = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return said > 0 ? (size_t)said : (size_t)1 << 19;
}

const char *ae_cpu_name(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_cpu_name);
    return cpu_name;
}

/* Whether the kernel saves every register whose bit is set when it switches between processes. */
static bool kernel_saves(unsigned int registers) {
    const unsigned int osxsave = 1u << 27;
    unsigned int a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & osxsave) == 0) return false;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & registers) == registers;
}

/* Tiles are big: the kernel gives room for them only to a process that asks. */
static bool amx_usable(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    const unsigned int amx = 1u << 22 | 1u << 24 | 1u << 25, tile_registers = 3u << 17; /* BF16, TILE, INT8 */
    unsigned int a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if ((d & amx) != amx || !kernel_saves(tile_registers)) return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static bool avx512_bf16_usable(void) {
    const unsigned int avx512_bf16 = 1u << 5,
                       vector_registers = 0xe6; /* SSE, AVX, masks, both halves of ZMM */
    unsigned int a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & avx512_bf16) != 0 &&
           kernel_saves(vector_registers);
}

static pthread_once_t found_isa = PTHREAD_ONCE_INIT;
static ae_isa best_isa = AE_ISA_AVX2;
static bool has_bf16, has_amx;

static void find_best_isa(void) {
    __builtin_cpu_init();
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    has_bf16 = avx512 && avx512_bf16_usable();
    has_amx = avx512 && amx_usable();
    if (avx512) best_isa = has_amx ? AE_ISA_AMX : AE_ISA_AVX512;
}

bool ae_machine_has_bf16(void) {
    pthread_once(&found_isa, find_best_isa);
    return has_bf16;
}

bool ae_machine_has_fast_bf16(void) {
    return ae_machine_has_bf16() && __builtin_cpu_is("amd");
}

bool ae_machine_has_amx(void) {
    pthread_once(&found_isa, find_best_isa);
    return has_amx;
}

static const char *const isa_names[] = {"avx2", "avx512", "amx"};

static ae_isa isa_cap(void) {
    static bool warned;
    const char *wanted = getenv("AERIE_ISA");
    if (wanted == NULL || wanted[0] == '\0') return AE_ISA_AMX;
    for (ae_isa isa = AE_ISA_AVX2; isa <= AE_ISA_AMX; isa++) {
        if (strcmp(wanted, isa_names[isa]) == 0) return isa;
    }
    if (!warned) ae_warn("AERIE_ISA: expected avx2, avx512 or amx, found \"%s\"; it is ignored", wanted);
    warned = true;
    return AE_ISA_AMX;
}

ae_isa ae_isa_pick(void) {
    pthread_once(&found_isa, find_best_isa);
    ae_isa cap = isa_cap();
    return cap < best_isa ? cap : best_isa;
}

const char *ae_isa_name(ae_isa isa) {
    return isa_names[isa];
}
