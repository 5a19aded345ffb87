#include "benchmark/template.h"
#include "core/json.h"
#include "tests/core/scratch.h"

static const char row_text[] =
    "{\"q\": \" Who? \", \"n\": 3, \"x\": 2.5, \"w\": 9.0, \"yes\": true, \"none\": null, \"list\": [\"a\", "
    "\"b\", \"c\"], "
    "\"choices\": {\"text\": [\"one\", \"two\"], \"label\": [\"A\", \"B\"]}, \"s\": \"a_b_c\"}";

static const ae_template_scope *scope_of(json_t *row) {
    static ae_template_scope scope;
    scope = (ae_template_scope){.row = row, .where = "f.jsonl:2: prompt"};
    return &scope;
}

static json_t *row_new(void) {
    json_t *row = NULL;
    cr_assert_eq(ae_json_parse(&row, row_text, strlen(row_text), "row"), AE_OK);
    return row;
}

static ae_status parse(ae_template **t, const char *text) {
    json_t *v = json_string(text);
    ae_status st = ae_template_parse(t, v, "t.yaml: prompt");
    json_decref(v);
    return st;
}

static void assert_text(const char *text, const char *expected) {
    ae_template *t = NULL;
    char *out = NULL;
    json_t *row = row_new();
    cr_assert_eq(parse(&t, text), AE_OK, "%s: %s", text, ae_error_message());
    cr_assert_eq(ae_template_text(&out, t, scope_of(row)), AE_OK, "%s: %s", text, ae_error_message());
    cr_assert_str_eq(out, expected, "%s gives \"%s\"", text, out);
    free(out);
    ae_template_free(t);
    json_decref(row);
}

static void assert_value(const char *text, const char *expected) {
    ae_template *t = NULL;
    json_t *row = row_new(), *out = NULL;
    cr_assert_eq(parse(&t, text), AE_OK, "%s: %s", text, ae_error_message());
    cr_assert_eq(ae_template_value(&out, t, scope_of(row)), AE_OK, "%s: %s", text, ae_error_message());
    char *dump = json_dumps(out, JSON_COMPACT | JSON_ENCODE_ANY);
    cr_assert_str_eq(dump, expected, "%s gives %s", text, dump);
    free(dump);
    json_decref(out);
    ae_template_free(t);
    json_decref(row);
}

static void assert_no_template(const char *text, const char *part) {
    ae_template *t = NULL;
    cr_assert_eq(parse(&t, text), AE_ERR_USAGE, "%s", text);
    cr_assert_message("t.yaml: prompt: ");
    cr_assert_message(part);
    cr_assert_null(t);
}

static void assert_fault(const char *text, const char *part) {
    ae_template *t = NULL;
    char *out = NULL;
    json_t *row = row_new();
    cr_assert_eq(parse(&t, text), AE_OK, "%s: %s", text, ae_error_message());
    cr_assert_eq(ae_template_text(&out, t, scope_of(row)), AE_ERR_INPUT, "%s", text);
    cr_assert_message("f.jsonl:2: prompt: ");
    cr_assert_message(part);
    ae_template_free(t);
    json_decref(row);
}

Test(template, text_with_fields) {
    assert_text("", "");
    assert_text("no field { here }", "no field { here }");
    assert_text("Q:{{q}}\nA. {{choices.text[0]}}\nB. {{ choices['text'][-1] }}\n",
                "Q: Who? \nA. one\nB. two\n");
    assert_text("{{n}} {{x}} {{w}} {{yes}}", "3 2.5 9.0 True");
}

Test(template, operators) {
    assert_value("{{ n - 1 }}", "2");
    assert_value("{{ n + x }}", "5.5");
    assert_value("{{ 'a' + \"b\" ~ n }}", "\"ab3\"");
    assert_value("{{ list + ['d'] }}", "[\"a\",\"b\",\"c\",\"d\"]");
    assert_value("{{ [n == 3, n != 3, n < 3, n <= 3, n > 2.5, w == 9] }}",
                 "[true,false,false,true,true,true]");
    assert_value("{{ ['a' in list, 'z' in list, 'ho' in q, 'text' in choices, 'a' not in list] }}",
                 "[true,false,true,true,false]");
    assert_value("{{ not yes or n == 3 and not (n > 5) }}", "true");
    assert_value("{{ [q is defined, z is defined, z is not defined, choices.z is defined, none is defined, "
                 "z.y is defined] }}",
                 "[true,false,true,false,false,false]");
    assert_value("{{ 'big' if n > 5 else 'middle' if n > 2 else 'small' }}", "\"middle\"");
    assert_value("{{ [c | upper for c in list if c != 'b'] }}", "[\"A\",\"C\"]");
    assert_value("{{ [[a + b for b in list] | join('') for a in list] }}",
                 "[\"aaabac\",\"babbbc\",\"cacbcc\"]");
}

Test(template, chains_of_hundreds) {
    char text[4096] = "{{ '' ", expected[512] = "";
    for (int i = 0; i < 500; i++) {
        strcat(text, "~ 'x' ");
        strcat(expected, "x");
    }
    assert_text(strcat(text, "}}"), expected);
}

Test(template, filters) {
    assert_text("{{ q | trim }}|", "Who?|");
    assert_text("{{ '\xc2\xa0x\\n' | trim }}", "x");
    assert_text("{{ 'aBC dE' | capitalize }}{{ '' | capitalize }}", "Abc de");
    assert_text("{{ '\xc3\xa4\xc3\x96' | capitalize }}", "\xc3\x84\xc3\xb6");
    assert_text("{{ '\xc3\xa4' | upper }}{{ '\xc3\x84' | lower }}", "\xc3\x84\xc3\xa4");
    assert_text("{{ 'aaa' | replace('aa', 'b') }}", "ba");
    assert_text("{{ 'a [b] c [d\\n] e [f' | cut('[', ']') }}", "a  c [d\n] e [f");
    assert_value("{{ s | split('_') }}", "[\"a\",\"b\",\"c\"]");
    assert_text("{{ s | before('_') }}{{ s | after('_') }}", "ab_c");
    assert_text("{{ list | join(', ') }}", "a, b, c");
    assert_value(
        "{{ [' 7' | trim | int, yes | int, '2.5' | float, n | string, list | length, '\xc3\xa4' | length] }}",
        "[7,1,2.5,\"3\",3,1]");
    assert_value("{{ [list | first, list | last, list | index('b'), choices.label | index('A')] }}",
                 "[\"a\",\"c\",1,0]");
    assert_value("{{ choices | keys }}", "[\"text\",\"label\"]");
    assert_value("{{ choices | values | first }}", "[\"one\",\"two\"]");
    assert_value("{{ (n | string) + '1' | int }}", "\"31\""); /* a filter binds closer than + */
}

Test(template, lists_of_templates) {
    ae_template *t = NULL;
    json_t *row = row_new(), *out = NULL, *list = json_pack("[s, s, i]", "{{ n }}", "is {{ n }}", 7);
    cr_assert_eq(ae_template_parse(&t, list, "w"), AE_OK);
    cr_assert(ae_template_has_names(t));
    cr_assert_eq(ae_template_value(&out, t, scope_of(row)), AE_OK);
    cr_assert_eq(json_array_size(out), 3);
    cr_assert_str_eq(json_string_value(json_array_get(out, 1)), "is 3");
    ae_template_free(t);
    json_decref(out);
    json_decref(list);
    json_decref(row);
}

/* The text where `first` and `q` are lets, in this order; each is computed once. */
static json_t *let_value(const char *text, const char *first, const char *second) {
    ae_template *t = NULL, *one = NULL, *two = NULL;
    json_t *row = row_new(), *out = NULL, *computed = json_object();
    cr_assert_eq(parse(&t, text), AE_OK);
    cr_assert_eq(parse(&one, first), AE_OK);
    cr_assert_eq(parse(&two, second), AE_OK);
    const ae_let lets[] = {{(char *)"first", one}, {(char *)"q", two}};
    const ae_template_scope scope = {lets, 2, row, NULL, "w", computed};
    cr_assert_eq(ae_template_value(&out, t, &scope), AE_OK, "%s", ae_error_message());
    json_object_del(row, "q"); /* what was computed stays */
    json_t *again = NULL;
    cr_assert_eq(ae_template_value(&again, t, &scope), AE_OK, "%s", ae_error_message());
    cr_assert(json_equal(again, out));
    json_decref(again);
    ae_template_free(t);
    ae_template_free(one);
    ae_template_free(two);
    json_decref(row);
    json_decref(computed);
    return out;
}

Test(template, a_let_sees_lets_before_it_and_the_field_that_it_hides) {
    json_t *v = let_value("{{ q }}", "{{ q }}", "{{ first | trim }}");
    cr_assert_str_eq(json_string_value(v), "Who?");
    json_decref(v);
    v = let_value("{{ q + first }}", "{{ q | trim }}", "{{ q | trim }}!");
    cr_assert_str_eq(json_string_value(v), "Who?!Who?");
    json_decref(v);
    v = let_value("{{ [q for n in list] | first }}", "", "{{ n }}"); /* the field n, not what is bound */
    cr_assert_eq(json_integer_value(v), 3);
    json_decref(v);
}

Test(template, what_is_no_template) {
    assert_no_template("{{ q", "expected }}, found the template's end");
    assert_no_template("{{ }}", "expected a field");
    assert_no_template("{{ q | trom }}", "trom: no such filter; did you mean trim?");
    assert_no_template("{{ q | replace('a') }}", "filter replace: expected 2 arguments, found 1");
    assert_no_template("{{ q | trim | }}", "expected a filter after |");
    assert_no_template("{{ 'open }}", "expected the end of a quoted text");
    assert_no_template("{{ 'a\\q' }}", "in a quoted text");
    assert_no_template("{% if q %}", "expected expressions in {{ }} only");
    assert_no_template("{{ [x for x list] }}", "expected in");
    assert_no_template("{{ [1, }}", "expected");
    assert_no_template("{{ q is odd }}", "expected defined after is");
    assert_no_template("{{ (q }}", "expected )");
    assert_no_template("{{ q.1 }}", "expected a field after the dot");
    char deep[1024] = "{{ ";
    for (int i = 0; i < 200; i++) strcat(deep, "not ");
    assert_no_template(strcat(deep, "q }}"), "no more than 64 deep");
    static const char *const links[] = {"+q", " and q", "|trim", ".a", "[0]", "~q"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        static char chain[65536];
        size_t n = (size_t)sprintf(chain, "{{ q");
        while (n < sizeof chain - 100) n += (size_t)sprintf(chain + n, "%s", links[i]);
        strcat(chain, " }}");
        assert_no_template(chain, "at most 512 operators and filters in a chain, found more");
    }
    static char long_text[70000];
    memset(long_text, 'x', sizeof long_text - 1);
    assert_no_template(long_text, "at most 65536 bytes");
}

Test(template, what_does_not_fit_the_row) {
    assert_fault("{{ question }}", "expected field question, found q, n");
    assert_fault("{{ choice.text }}", "did you mean choices?");
    assert_fault("{{ choices.texts }}", "expected field texts in choices, found no such field");
    assert_fault("{{ q.text }}", "expected field text in q, found text");
    assert_fault("{{ list[3] }}", "expected entry 3 of list, found a list of 3");
    assert_fault("{{ list }}", "expected text, found a list");
    assert_fault("a {{ none }}", "none: expected text, found null");
    assert_fault("{{ n | trim }}", "filter trim: expected text, found a whole number");
    assert_fault("{{ q | int }}", "filter int: expected a whole number, found \" Who? \"");
    assert_fault("{{ '1e999' | float }}", "filter float: expected a number");
    assert_fault("{{ list | index('z') }}", "expected one of 3 entries of the list, found \"z\"");
    assert_fault("{{ s | after('z') }}", "expected \"z\" in the text, found \"a_b_c\"");
    assert_fault("{{ [] | first }}", "filter first: expected a list that is not empty");
    assert_fault("{{ q - 1 }}", "expected two numbers, found text and a whole number");
    assert_fault("{{ q < 1 }}", "expected two numbers or two texts");
    assert_fault("{{ [x for x in q] }}", "expected a list after in, found text");
}
