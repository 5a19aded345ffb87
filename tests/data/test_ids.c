#include "data/ids.h"
#include "tests/core/scratch.h"

#include <stdlib.h>

Test(ids, lists_grow_by_one_and_by_many) {
    ae_ids a = {0};
    int32_t some[200];
    for (int i = 0; i < 200; i++) some[i] = 1000 + i;
    for (int i = 0; i < 100; i++) cr_assert_eq(ae_ids_append(&a, i), AE_OK);
    cr_assert_eq(ae_ids_extend(&a, some, 200), AE_OK);
    cr_assert_eq(ae_ids_extend(&a, NULL, 0), AE_OK);
    cr_assert_eq(a.n, 300);
    for (int i = 0; i < 100; i++) cr_assert_eq(a.ids[i], i);
    cr_assert_arr_eq(a.ids + 100, some, sizeof some);
    ae_ids_free(&a);
    cr_assert(!a.ids && a.n == 0 && a.capacity == 0);
}

/* A list as long as one of a machine without memory to spare: nothing of it is read. */
Test(ids, without_memory_a_list_stays_as_it_was) {
    const ptrdiff_t long_one = PTRDIFF_MAX / 16;
    ae_ids a = {.ids = malloc(16), .n = long_one, .capacity = long_one};
    const ae_ids before = a;
    cr_assert_eq(ae_ids_append(&a, 7), AE_ERR_RESOURCE);
    cr_assert_message("token ids: out of memory");
    cr_assert(a.ids == before.ids && a.n == before.n && a.capacity == before.capacity);
    free(a.ids);
}
