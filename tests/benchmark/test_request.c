#include "tests/benchmark/rig.h"

TestSuite(request, .init = scratch_make, .fini = scratch_remove);

/* The prompts are those of lm-eval 0.4.13, written out by hand. */

Test(request, hellaswag) {
    write_rows(
        "hellaswag_val.jsonl",
        "{\"ind\": 24, \"activity_label\": \"Roof\", \"ctx_a\": \"A man [step] sits. [title] On\", "
        "\"ctx_b\": "
        "\"HE\", \"endings\": [\" is [x] using. \", \"rips [title] it\", \"a  b\", \"d\"], \"label\": 3}\n");
    asked a = ask("hellaswag", 0, default_options());
    cr_assert_str_eq(a.request.contexts[0], "Roof: A man sits.. On He");
    cr_assert_eq(a.request.contexts[3], a.request.contexts[0]);
    assert_continuations(&a, "| is using.| rips. it| a b| d");
    assert_gold(&a, "0001");
    cr_assert_str_eq(a.request.choices[2], "a b");
    asked_free(&a);
}

static void write_gsm8k(void) {
    write_rows("gsm8k/test.jsonl", "{\"question\": \"How many?\", \"answer\": \"Two.\\n#### 2\"}\n");
    char train[2048] = "";
    for (int i = 0; i < 10; i++)
        snprintf(train + strlen(train), 100, "{\"question\": \"q%d?\", \"answer\": \"a%d\"}\n", i, i);
    write_rows("gsm8k/train.jsonl", train);
}

Test(request, gsm8k_draws_the_examples_of_python) {
    write_gsm8k();
    asked a = ask("gsm8k", 0, default_options()); /* Random(1234).sample(range(10), 5) is 7, 1, 0, 9, 4 */
    cr_assert_str_eq(a.request.contexts[0], "Question: q7?\nAnswer: a7\n\nQuestion: q1?\nAnswer: a1\n\n"
                                            "Question: q0?\nAnswer: a0\n\nQuestion: q9?\nAnswer: a9\n\n"
                                            "Question: q4?\nAnswer: a4\n\nQuestion: How many?\nAnswer:");
    cr_assert_eq(a.request.n_references, 1);
    cr_assert_str_eq(a.request.references[0], "Two.\n#### 2");
    cr_assert_eq(a.task->n_stops, 3);
    cr_assert_eq(a.request.n_turns, 11);
    const ae_task_turn *last = &a.request.turns[10], *answer = &a.request.turns[1];
    cr_assert_str_eq(a.request.contexts[0] + last->begin, "Question: How many?\nAnswer:");
    cr_assert_eq(answer->role, AE_TURN_ASSISTANT);
    cr_assert_eq(strncmp(a.request.contexts[0] + answer->begin, "a7", answer->end - answer->begin), 0);
    asked_free(&a);
}
