#ifndef AE_TESTS_SANDBOX_HOSTILE_H
#define AE_TESTS_SANDBOX_HOSTILE_H
#include "sandbox/run.h"

#include <stddef.h>

/* Programs that try to get out of a sandbox, to use up the machine, or to pass without passing. One that succeeds runs to
 * its end, which counts as passed; so each must be told apart by its verdict. */

typedef struct {
    const char *name;
    const char *
        text; /* {pid}: the test's process; {secret}: a file that it has; {home}, {source}: its folders; {mark}: a
                          word in the names of the files that it leaves */
    unsigned ends;     /* verdicts that contain it: bits of 1 << ae_run_end */
    const char *words; /* what its last line has; NULL: anything */
} hostile;

extern const hostile hostile_programs[];
extern const size_t hostile_count;

#endif
