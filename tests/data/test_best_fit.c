#include "data/best_fit.h"

#include <criterion/criterion.h>

/* Rows of 10: each document in turn, the row it goes into and what that has left. */
Test(best_fit, takes_the_row_with_the_least_room) {
    static const ptrdiff_t documents[][3] = {
        {6, 0, 4}, {7, 1, 3}, {5, 2, 5}, {3, 1, 0},  /* 3 is the least room that is enough */
        {4, 0, 0}, {5, 2, 0}, {1, 3, 9}, {10, 4, 0}, /* full rows take nothing, a whole row fits */
        {5, 3, 4}, {6, 5, 4}, {4, 3, 0},             /* the first of rows with as much room */
    };
    ptrdiff_t room[sizeof documents / sizeof *documents], rows = 0;
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        const ptrdiff_t row = ae_best_fit(room, &rows, documents[i][0], 10);
        cr_assert_eq(row, documents[i][1], "document %zu: row %td", i, row);
        cr_assert_eq(room[row], documents[i][2], "document %zu: %td left", i, room[row]);
    }
    cr_assert_eq(rows, 6);
}
