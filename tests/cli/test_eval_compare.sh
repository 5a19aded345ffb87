#!/bin/sh
. "$(dirname "$0")/common.sh"

# Results written by hand, in the layout of aerie eval: 40 rows, of which A has 20 right and B the same and 10 more.
make() { # FOLDER RIGHT [DOCUMENT]: the first RIGHT rows of part "one" are right; those of "two" are as in A
    mkdir "$1"
    cat >"$1/results.json" <<EOR
{"results": {"pair": {"acc,none": $(awk -v right="$2" 'BEGIN { print (right + 20) / 80 }')}, "pair_one": {"acc,none": 0.5}, "pair_two": {"acc,none": 0.5}, "texts": {}},
 "group_subtasks": {"pair": ["pair_one", "pair_two"]},
 "configs": {"pair_one": {"metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": true}]},
             "pair_two": {"metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": true}]},
             "texts": {"metric_list": [{"metric": "bits_per_byte", "higher_is_better": false}]}}}
EOR
    awk -v right="$2" -v doc="${3:-d}" 'BEGIN { for (i = 0; i < 40; i++)
        printf "{\"doc_id\": %d, \"doc_hash\": \"%s%d\", \"filter\": \"none\", \"metrics\": [\"acc\"], \"acc\": %d}\n", i, doc, i, i < right }' >"$1/samples_pair_one.jsonl"
    awk 'BEGIN { for (i = 0; i < 40; i++)
        printf "{\"doc_id\": %d, \"doc_hash\": \"d%d\", \"filter\": \"none\", \"metrics\": [\"acc\"], \"acc\": %d}\n", i, i, i % 2 }' >"$1/samples_pair_two.jsonl"
    awk -v right="$2" 'BEGIN { for (i = 0; i < 10; i++)
        printf "{\"doc_id\": %d, \"doc_hash\": \"d%d\", \"filter\": \"none\", \"metrics\": [\"bits_per_byte\"], \"bits_per_byte\": [%f, 100]}\n", i, i, -69.31471805599453 * (right + i) }' >"$1/samples_texts.jsonl"
}
make a 20
make b 30
run 0 "$aerie" eval compare a b
prints "pair_one acc                none                 40    0.5000    0.7500    +0.2500  [+0.1250, +0.3750]"
prints "pair_two acc                none                 40    0.5000    0.5000    +0.0000  [+0.0000, +0.0000]     1.000"
prints "pair     acc                none                 80    0.5000    0.6250    +0.1250"
prints "texts    bits_per_byte      none                 10   24.5000   34.5000   +10.0000  [+10.0000, +10.0000]   0.001"
run 0 "$aerie" eval compare a b --task pair_one --json
prints '"rows":[{"task":"pair_one","metric":"acc","filter":"none","group":false,"higher_is_better":true,"rows":40,"a":0.5,"b":0.75,"difference":0.25,'
run 0 "$aerie" eval compare b a --task pair
prints "-0.1250"

# lm-eval writes what it cannot tell as a NaN, which is no JSON.
make told 30
sed -i 's/"texts": {}/"texts": {"bits_per_byte_stderr,none": NaN}/' told/results.json
run 0 "$aerie" eval compare a told --task pair
prints "+0.1250"

# A group whose leaves have different metrics: each metric over the rows of the leaves that have it on both sides.
make mixed-a 20
make mixed-b 30
for f in mixed-a mixed-b; do
    sed -i 's/"pair": {"acc,none": [0-9.]*}/"pair": {}/' $f/results.json
    sed -i 's/"metrics": \["acc"\], "acc": \(.\)/"metrics": ["em"], "em": \1/' $f/samples_pair_two.jsonl
done
run 0 "$aerie" eval compare mixed-a mixed-b --task pair
prints "pair acc                none                 40    0.5000    0.7500    +0.2500"
prints "pair em                 none                 40    0.5000    0.5000    +0.0000"
sed -i '21,$d' mixed-a/samples_pair_two.jsonl mixed-b/samples_pair_two.jsonl
run 0 "$aerie" eval compare mixed-a mixed-b --task pair
prints "pair acc                none                 40    0.5000    0.7500    +0.2500"
prints "pair em                 none                 20    0.5000    0.5000    +0.0000"
sed -i 's/"metrics": \["acc"\], "acc": \(.\)/"metrics": ["em"], "em": \1/' mixed-b/samples_pair_one.jsonl
run 0 "$aerie" eval compare mixed-a mixed-b --task pair
prints "pair em                 none                 20    0.5000    0.5000    +0.0000"
grep -q "^pair acc" out && fail "a metric of one side alone is compared"

# A group whose parts count alike whatever their size is no mean over rows.
make alike 30
sed -i 's/"pair": {"acc,none": [0-9.]*}/"pair": {"acc,none": 0.7}/' alike/results.json
run 0 "$aerie" eval compare a alike
prints "pair_one acc"
warns "pair: acc: left out: the rows of both folders do not make its number (parts that one of them lacks, or weighted: false); compare its parts"
grep -q "^pair " out && fail "a group that is no mean over rows is compared"

# Nor is one of which a folder lacks a part.
make few 10
make lacking 30
sed -i '/"pair_two": {"metric_list"/d' lacking/results.json
run 0 "$aerie" eval compare few lacking
prints "pair_one acc"
warns "pair: acc: left out"

# lm-eval puts the date into names; the last one counts.
make c 20
mv c/results.json c/results_2026-01-02T10-00-00.000000.json
echo '{"results": {}, "configs": {}}' >c/results_2026-01-01T10-00-00.000000.json
for task in pair_one pair_two texts; do mv "c/samples_$task.jsonl" "c/samples_${task}_2026-01-02T10-00-00.000000.jsonl"; done
run 0 "$aerie" eval compare a c --task pair_one
prints "    0.5000    0.5000    +0.0000"

# What cannot be compared.
run 2 "$aerie" eval compare a
says "eval compare: expected two folders of results, found 1"
run 3 "$aerie" eval compare a nowhere
says "nowhere: expected results.json"
mkdir begun
echo '{}' >begun/requests.jsonl
run 3 "$aerie" eval compare a begun
says "begun: expected results, found an evaluation that is not done"
run 2 "$aerie" eval compare a b --task pear
says "--task: expected a task of both folders, found 'pear'"
make other 20 x
run 3 "$aerie" eval compare a other
says "other: pair_one: expected row 0 of the other folder, found another one"
for f in a other; do cp -r $f $f-asked; sed -i 's/"doc_id": \([0-9]*\),/&"arguments": {"gen_args_0": {"arg_0": "q\1"}},/' $f-asked/samples_*.jsonl; done
run 0 "$aerie" eval compare a-asked other-asked --task pair_one
prints "pair_one acc                none                 40    0.5000    0.5000    +0.0000"
make short 20
sed -i '$d' short/samples_pair_one.jsonl
run 3 "$aerie" eval compare a short
says "short: pair_one: expected 40 rows, as in the other folder, found 39"
make bare 20
rm bare/samples_texts.jsonl
run 3 "$aerie" eval compare a bare
says "bare: expected samples_texts.jsonl, found none; evaluate with --log-samples"
make torn 20
sed -i '3s/"acc": 1/"acc": "yes"/' torn/samples_pair_one.jsonl
run 3 "$aerie" eval compare a torn
says "torn/samples_pair_one.jsonl:3: acc: expected what the metric has of a row, found text"
echo '{"results": {}}' >bare/results.json
run 3 "$aerie" eval compare a bare
says "bare/results.json: configs: expected an object"
finish
