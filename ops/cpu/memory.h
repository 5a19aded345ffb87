#ifndef AE_OPS_CPU_MEMORY_H
#define AE_OPS_CPU_MEMORY_H
#include "core/status.h"
#include "ops/types.h"

#include <stdatomic.h>
#include <stddef.h>

/* Memory of the CPU backend. A page lies where the processor is that first writes to it, so that big blocks
 * are zeroed and copied by all threads, cut as AdamW and the packing of weights cut a tensor of that size:
 * the thread that sweeps a part later has it near. */
ae_status ae_cpu_alloc(const ae_backend *be, void **ptr, size_t bytes);
void ae_cpu_release(const ae_backend *be, void *ptr, size_t bytes);
void ae_cpu_zero(const ae_backend *be, void *device, size_t bytes);
void ae_cpu_copy(const ae_backend *be, void *to, const void *from, size_t bytes); /* nothing overlaps */
void ae_cpu_upload(const ae_backend *be, void *device, const void *host, size_t bytes);
void ae_cpu_download(const ae_backend *be, void *host, const void *device, size_t bytes);

/* Scratch of an op, for free(); NULL when there is none. An op returns nothing: it then leaves undone what
 * needs the scratch, and the backend tells of the first such failure when it is asked. From any thread. */
void *ae_cpu_room(const ae_backend *be, size_t align, size_t bytes);
ae_status ae_cpu_sync(const ae_backend *be);
void ae_cpu_note_failure(const ae_backend *be, size_t bytes);
/* For tests: so many more rooms are to be had; below 0: as many as there is memory for. */
extern atomic_long ae_cpu_rooms_left;

/* Elements of float32 that go to one thread together, in sweeps over whole tensors. */
enum { AE_SWEEP_CHUNK = 8192 };

#endif
