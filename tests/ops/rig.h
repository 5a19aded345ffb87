#ifndef AE_TESTS_OPS_RIG_H
#define AE_TESTS_OPS_RIG_H
#include "ops/backend.h"
#include "tests/ref/ref.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <omp.h>

/* A rig holds one backend and the arrays of a case, on the device and on the host. Every test runs once for each backend and
 * instruction set, ON_EVERY_TYPE also for each type of activations; the sizes are a loop inside. */

typedef struct {
    int strict, avx2;
    int bf16;     /* activations */
    int products; /* of bfloat16 operands, where the machine has them */
} rig_choice;

#define RIG_FLOOR 1e-37
/* How much of a gradient is tried; the sanitizers are slow and look for something else. */
#ifdef __SANITIZE_ADDRESS__
enum { RIG_EVERY_ELEMENT = 24, RIG_ELEMENTS = 1, RIG_DIRECTIONS = 1 };
#else
enum { RIG_EVERY_ELEMENT = 80, RIG_ELEMENTS = 5, RIG_DIRECTIONS = 2 };
#endif
enum { RIG_PIECES = 4096 };

typedef struct {
    ae_backend be;
    char label[32], where[160]; /* for messages: the backend and kernels, the sizes at work */
    bool bf16;
    uint64_t seed;
    ptrdiff_t every_element; /* inputs of up to so many elements are perturbed one by one */
    double floor;            /* added to what an error is relative to: where terms cancel to nothing */
    int n_pieces;
    struct {
        void *ptr;
        size_t bytes; /* on the device; 0 on the host */
    } pieces[RIG_PIECES];
} rig;

struct criterion_test_params rig_choices(void), rig_typed_choices(void);
void rig_open(rig *r, const rig_choice *choice);
void rig_close(rig *r);
void rig_next(rig *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* a new case: its arrays are released */

#define RIG_TEST(suite, name, choices)                                                                       \
    static void suite##_##name(rig *r);                                                                      \
    ParameterizedTestParameters(suite, name) {                                                               \
        return choices();                                                                                    \
    }                                                                                                        \
    ParameterizedTest(const rig_choice *choice, suite, name) {                                               \
        rig r;                                                                                               \
        rig_open(&r, choice);                                                                                \
        suite##_##name(&r);                                                                                  \
        rig_close(&r);                                                                                       \
    }                                                                                                        \
    static void suite##_##name(rig *r)
#define ON_EVERY_BACKEND(suite, name) RIG_TEST(suite, name, rig_choices)
#define ON_EVERY_TYPE(suite, name)    RIG_TEST(suite, name, rig_typed_choices)

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* One array of a case: `x` the values on the host, `dev` the same on the device, `d` and `c` for the references. Activations lie on the
 * device in the backend's type; `x` is rounded to it, so that the references see what the op sees. */
typedef struct {
    ptrdiff_t n;
    bool act;
    float *x;
    void *dev;
    double *d;
    double complex *c;
} rig_array;

typedef struct {
    ptrdiff_t n;
    int32_t *x;
    void *dev;
} rig_ints;

void *rig_host(rig *r, size_t bytes);   /* zeros */
void *rig_device(rig *r, size_t bytes); /* NaN on every backend */
ae_room rig_room(rig *r, size_t bytes); /* of just that size */
ae_weight *rig_pack(rig *r, const void *master, ptrdiff_t rows, ptrdiff_t cols);
rig_array rig_values(rig *r, const float *x, ptrdiff_t n); /* given */
rig_array rig_normal(rig *r, double scale, ptrdiff_t n);   /* mean 0 */
rig_array rig_zeros(rig *r, ptrdiff_t n);                  /* a gradient that accumulates */
rig_array rig_output(rig *r, ptrdiff_t n);                 /* NaN until written */
rig_array rig_act_values(rig *r, const float *x, ptrdiff_t n);
rig_array rig_act_normal(rig *r, double scale, ptrdiff_t n);
rig_array rig_act_output(rig *r, ptrdiff_t n);
rig_array rig_weights(rig *r, double scale, ptrdiff_t n); /* float32 that the backend's type holds exactly */
double rig_tolerance(const rig *r, double f32, double bf16);
rig_ints rig_numbers(rig *r, const int32_t *x, ptrdiff_t n);
rig_ints rig_below(rig *r, int32_t limit, ptrdiff_t n); /* random in [0, limit) */
void rig_write(rig *r, const rig_array *a);             /* x to the device again */
float *rig_read(rig *r, const rig_array *a);            /* a fresh copy from the device */
double rig_random(rig *r);                              /* in [0, 1) */

/* Documents of B rows of T tokens. */
typedef enum {
    RIG_ONE,    /* one document a row */
    RIG_SINGLE, /* every token its own */
    RIG_SHORT,  /* lengths 1 to 5 */
    RIG_LONG,   /* lengths 1 to T */
    RIG_MIDDLE, /* rows begin inside a document, others follow */
    RIG_FORKED, /* documents whose trunks have up to 4 continuations */
    RIG_LAYOUTS
} rig_layout;
rig_ints rig_positions(rig *r, rig_layout layout, ptrdiff_t B, ptrdiff_t T);

/* Tokens [from, from + T) of each of B rows of `whole`; and what came of them back into its place. */
rig_array rig_cut(rig *r, const rig_array *a, ptrdiff_t B, ptrdiff_t whole, ptrdiff_t from, ptrdiff_t T);
rig_ints rig_cut_numbers(rig *r, const rig_ints *a, ptrdiff_t B, ptrdiff_t whole, ptrdiff_t from,
                         ptrdiff_t T);
void rig_paste(float *rows, const float *part, ptrdiff_t B, ptrdiff_t whole, ptrdiff_t from, ptrdiff_t T,
               ptrdiff_t width);

/* Each asserts once, and says where. A tolerance is relative to |want| + the root mean square of want (+ the floor). */
void rig_expect(const rig *r, const char *what, const float *got, const double *want, ptrdiff_t n,
                double tolerance);
void rig_expect_bits(const rig *r, const char *what, const float *got, const float *want, ptrdiff_t n);
/* got = before + gradient, in float32. */
void rig_expect_sum(rig *r, const char *what, const float *got, const float *before, const float *gradient,
                    ptrdiff_t n);

/* `got` against the complex step of `loss` along `input`: every element of small inputs; of larger ones a few elements, and
 * directions over all of them, where an error in any one element shows. */
typedef double complex rig_loss(void *context);
void rig_expect_gradient(rig *r, const char *what, const float *got, const rig_array *input, rig_loss *loss,
                         void *context, double tolerance);
double complex rig_dot(const double *weights, const double complex *x, ptrdiff_t n);

/* Runs `run` with one thread and with several, where OpenMP grants fewer, and from a thread beside; the outputs must have the same bits. `arrays` are written to the device before each run. */
typedef void rig_run(rig *r, void *context);
void rig_expect_same_on_threads(rig *r, const char *what, rig_run *run, void *context,
                                const rig_array *arrays, int n);

#endif
