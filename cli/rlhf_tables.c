#include "cli/rlhf_tables.h"

#include <math.h>
#include <stdio.h>

static double number(const json_t *row, const char *key) {
    const json_t *v = json_object_get(row, key);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

/* Half of the interval of 95 % of a mean. */
static double spread(const json_t *row) {
    return 1.96 * number(row, "reward_std") / sqrt(fmax(1, number(row, "answers")));
}

void ae_print_frontier(const json_t *table) {
    const json_t *rows = json_object_get(table, "frontier");
    const size_t n = json_array_size(rows);
    if (n == 0) return;
    const double last = number(json_array_get(rows, n - 1), "kl");
    puts("   e    held-out reward (95 %)     KL, nats   e KL(1)    tokens      cut");
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        printf("%4.2f  %11.4f +- %-9.4f  %11.4f  %8.4f  %8.1f  %5.1f %%\n", number(row, "e"),
               number(row, "reward"), spread(row), number(row, "kl"), number(row, "e") * last,
               number(row, "length"), 100 * number(row, "truncated"));
    }
}

void ae_print_best_of_n(const json_t *table) {
    const json_t *rows = json_object_get(table, "table");
    if (json_array_size(rows) == 0) return;
    puts("   n   best reward (95 %)                  KL at most, nats");
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        printf("%4lld  %11.4f (%.4f to %.4f)  %16.4f\n", (long long)number(row, "n"), number(row, "reward"),
               number(row, "reward_low"), number(row, "reward_high"), number(row, "kl_bound"));
    }
}
