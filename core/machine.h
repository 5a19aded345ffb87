#ifndef AE_CORE_MACHINE_H
#define AE_CORE_MACHINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t ae_memory_available_bytes(void); /* of the machine or the container, whichever is less */
size_t ae_peak_rss_bytes(void);
size_t ae_rss_bytes(void);
int ae_usable_cores(void); /* by the affinity, and by the processor time that a container may take */
/* `cores`, or as many as the quotas of the cgroup folders from `mount` down to `below` ("" or "/x/y") leave,
 * rounded up. */
int ae_cgroup_cores(const char *mount, const char *below, int cores);
size_t ae_machine_l2_bytes(void); /* of a core's second-level cache; half a MB where nobody says */
const char *ae_cpu_name(void);    /* as /proc/cpuinfo says */

/* Instruction sets this program chooses among; AERIE_ISA=avx2|avx512|amx caps the choice. */
typedef enum { AE_ISA_AVX2, AE_ISA_AVX512, AE_ISA_AMX } ae_isa;
ae_isa ae_isa_pick(void);
const char *ae_isa_name(ae_isa isa);

/* Products of bfloat16 in the processor, with the kernel's leave to use the registers; AERIE_ISA does not
 * hide them. */
bool ae_machine_has_bf16(void); /* dot products of vectors: AVX512-BF16 */
/* Whether those run at twice the FLOPs of float32 multiply-adds: AMD's do; Intel's, at half the rate or the
 * same, do not. */
bool ae_machine_has_fast_bf16(void);
bool ae_machine_has_amx(void); /* AMX-TILE, AMX-BF16 and AMX-INT8 */

#endif
