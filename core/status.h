#ifndef AE_CORE_STATUS_H
#define AE_CORE_STATUS_H

/* The outcome of everything that touches files, memory, configuration or devices. The values are the exit
 * codes of the program (docs/interfaces.md). */
typedef enum {
    AE_OK = 0,
    AE_ERR_DEFECT = 1,        /* a bug of ours */
    AE_ERR_USAGE = 2,         /* command line, YAML, keys, an output that is unwritable or in the way */
    AE_ERR_INPUT = 3,         /* an input that is missing, malformed or does not match */
    AE_ERR_RESOURCE = 4,      /* memory (a refused plan too) or disk */
    AE_ERR_GUARD = 5,         /* training stopped by a guard */
    AE_ERR_INTERRUPTED = 130, /* SIGINT or SIGTERM */
} ae_status;

/* Room for any message, for who hands one to another thread. */
enum { AE_MESSAGE_BYTES = 4096 };

/* Keeps one line for this thread: file or field, expected, found, remedy; of one above 4 kB the two ends.
 * Never prints. The place in the source is kept apart and shown only when AERIE_DEBUG is set. */
void ae_fail_at(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message kept for this thread. */
void ae_fail_prefix(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The last line kept by ae_fail_at on this thread; "" when there was none. */
const char *ae_error_message(void);

#define AE_FAIL(code, ...) (ae_fail_at(__FILE__, __LINE__, __VA_ARGS__), (ae_status)(code))

/* For functions with an `ae_status st` and one `out:` label. */
#define AE_TRY(expr)                                                                                         \
    do {                                                                                                     \
        st = (expr);                                                                                         \
        if (st != AE_OK) goto out;                                                                           \
    } while (0)

#endif
