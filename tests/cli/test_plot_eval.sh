#!/bin/sh
. "$(dirname "$0")/common.sh"

# Results written by hand, in the layout of aerie eval: a group of two parts, answers, and a text.
make() { # FOLDER RIGHT
    mkdir -p "$1"
    cat >"$1/results.json" <<EOR
{"results": {"mmlu": {"alias": "mmlu", "sample_len": 4, "acc,none": 0.5, "acc_stderr,none": 0.25},
             "mmlu_anatomy": {"alias": "anatomy", "sample_len": 2, "acc,none": 0.5, "acc_stderr,none": 0.5},
             "mmlu_virology": {"alias": "virology", "sample_len": 2, "acc,none": 0.5, "acc_stderr,none": 0.5},
             "sums": {"alias": "sums", "sample_len": 2, "exact_match,strict": 0.$2, "exact_match_stderr,strict": 0.1}},
 "groups": {"mmlu": {}}, "group_subtasks": {"mmlu": ["mmlu_anatomy", "mmlu_virology"]}, "n-shot": {"mmlu": 5, "sums": 0},
 "configs": {"mmlu_anatomy": {}, "mmlu_virology": {}, "sums": {}}, "higher_is_better": {"mmlu": {"acc": true}},
 "config": {"model_num_parameters": 1000, "model_dtype": "f32", "limit": null}, "aerie": {"bos": true, "cut_prompts": 3, "requests": 18},
 "model_name": "runs/$1", "chat_template": null, "total_evaluation_time_seconds": "1.5"}
EOR
    for task in mmlu_anatomy mmlu_virology; do
        for i in 0 1; do
            echo "{\"doc_id\": $i, \"doc_hash\": \"$task$i\", \"filter\": \"none\", \"metrics\": [\"acc\"], \"acc\": $(((i + $2) % 2)), \"target\": \"$i\",
 \"arguments\": {\"gen_args_0\": {\"arg_0\": \"Examples.\\n\\nIs <b> bold & $i?\", \"arg_1\": \" A\"}, \"gen_args_1\": {\"arg_0\": \"Examples.\\n\\nIs <b> bold & $i?\", \"arg_1\": \" B\"}},
 \"resps\": [[[\"-1.5\", \"True\"]], [[\"-$2.5\", \"False\"]]]}" | tr -d '\n'
            echo
        done >"$1/samples_$task.jsonl"
    done
    for i in 0 1; do
        echo "{\"doc_id\": $i, \"doc_hash\": \"s$i\", \"filter\": \"strict\", \"metrics\": [\"exact_match\"], \"exact_match\": 0.0, \"target\": \"4$i\",
 \"arguments\": {\"gen_args_0\": {\"arg_0\": \"What is 40 + $i?\", \"arg_1\": {\"until\": []}}}, \"resps\": [[\"It is $2.\"]], \"filtered_resps\": [\"$2\"]}" | tr -d '\n'
        echo
    done >"$1/samples_sums.jsonl"
}
make a 2
make b 3

run 0 "$aerie" plot a b --output page.html
for words in '<title>aerie: evaluations</title>' '<svg' 'RecurrentGemma-9B<br>published' '<td class="published">0.605</td>' \
    'parts of mmlu' '<td>anatomy</td>' '0.5000<br><small>[0.1704, 0.8296]</small>' 'b against a' '[+0.0000, +0.0000]' \
    'Is &lt;b&gt; bold &amp; 0?' '<tr class="gold">' '<b class="good">&#10003;</b>' 'only rows on which the models differ' \
    '<pre>It is 3.</pre>' 'of which is taken: </small>3</p>' '<td>runs/b</td>' 'acc, 2 of 2 rows'; do
    grep -qF "$words" page.html || fail "the page lacks $words"
done
grep -qE '<script|src=|https?://[^w]' page.html && fail "the page wants something else"
grep -qF 'Is <b> bold' page.html && fail "text became HTML"
run 2 "$aerie" plot a b --output page.html
says "page.html"
run 2 "$aerie" plot a b
says "--output is missing"
run 0 "$aerie" plot a b --output page.svg
grep -q '<svg' page.svg || fail "no picture"
run 0 "$aerie" plot a
grep -q '<h1>a</h1>' a/report.html || fail "the page of one folder"
grep -q 'against' a/report.html && fail "one folder has nothing to be compared with"

# Three rows right of three, or none: the interval stays in what is possible, and is no point.
for right in 0.0 1.0 0.333333; do
    mkdir -p three
    error=$(echo $right | awk '{print sqrt($1 * (1 - $1) / 2)}')
    sed "s/\"exact_match,strict\": 0.2/\"exact_match,strict\": $right/; s/\"exact_match_stderr,strict\": 0.1/\"exact_match_stderr,strict\": $error/;
        s/\"sums\", \"sample_len\": 2/\"sums\", \"sample_len\": 3/" a/results.json >three/results.json
    run 0 "$aerie" plot three --output three.html --force
    case $right in
    0.0) interval='0.0000<br><small>[0.0000, 0.5615]' ;;
    1.0) interval='1.0000<br><small>[0.4385, 1.0000]' ;;
    *) interval='0.3333<br><small>[0.0615, 0.7923]' ;;
    esac
    grep -qF "$interval" three.html || fail "$right of three: $(grep -o '....<br><small>\[[^<]*' three.html)"
done

# Other rows, no samples: the page says so.
sed -i 's/mmlu_anatomy0/other/; s/Is <b>/Was <b>/' b/samples_mmlu_anatomy.jsonl
run 0 "$aerie" plot a b --output page.html --force
grep -q 'b: mmlu_anatomy: expected row 0 of the other folder, found another one' page.html || fail "other rows"
rm b/samples_* a/samples_*
run 0 "$aerie" plot a b --output page.html --force
grep -q 'aerie eval writes them with --log-samples' page.html || fail "no samples"
mkdir begun run
echo '{}' >begun/requests.jsonl
run 3 "$aerie" plot begun
says "begun: expected results, found an evaluation that is not done"
echo '{"step":1,"loss":2}' >run/metrics.jsonl
run 2 "$aerie" plot a run --output x.html
says "plot: expected folders of one kind"
echo '{' >a/results.json
run 3 "$aerie" plot a b --output x.html
says "a/results.json"
finish
