#!/bin/sh
. "$(dirname "$0")/common.sh"

# Tasks, their data and their prompts: what needs no model.
run 0 "$aerie" eval ls
prints "hellaswag"
[ "$(head -1 out)" = commonsense ] || fail "tasks are not in groups"
[ "$(grep -c '^  [a-z]' out)" = "$(find "$here/../../tasks" -name '*.yaml' | wc -l)" ] || fail "a line for each task"
run 0 "$aerie" eval ls mmlu
prints "rows      test/abstract_algebra_test.csv, or abstract_algebra/test.jsonl"
run 0 "$aerie" eval ls gsm8k --json
prints '"task":"gsm8k"'
run 2 "$aerie" eval ls helaswag
says "helaswag: no such task; did you mean hellaswag?"
run 2 "$aerie" eval lst
says "eval lst: no such verb; did you mean ls?"

mkdir data
cat >data/rows.jsonl <<'EOR'
{"q": "What is red?", "options": ["grass", "blood"], "right": 1}
{"q": "What is wet?", "options": ["water", "sand"], "right": 0}
EOR
cat >mine.yaml <<'EOR'
format: 1
task: mine
version: 1
kind: choice
rows: {file: rows.jsonl}
prompt: "Q: {{q}}\nA:"
choices: "{{options}}"
gold: "{{right}}"
metrics: [acc]
EOR
run 0 "$aerie" eval ls mine.yaml
printf 'mine, version 1.0\n  kind      choice, 0-shot\n  metrics   acc\n  rows      rows.jsonl\n' >want
equal out want "eval ls of a task without source and title"
run 0 "$aerie" eval validate mine.yaml data
prints "mine: 2 documents of data/rows.jsonl, 0-shot, 2 choices, 18 bytes of context"
run 0 "$aerie" eval validate mine.yaml data/rows.jsonl
run 0 "$aerie" eval validate mine.yaml data --num-fewshot 1
run 0 "$aerie" eval show mine.yaml data --n 2
cat >want <<'EOR'
=== mine, document 0: data/rows.jsonl:1
Q: What is red?
A:
--- end of the context
  choice 0: " grass"
* choice 1, right: " blood"
=== mine, document 1: data/rows.jsonl:2
Q: What is wet?
A:
--- end of the context
* choice 0, right: " water"
  choice 1: " sand"
EOR
equal out want "eval show"
run 0 "$aerie" eval show mine.yaml data --first 1 --num-fewshot 1 --json
cat >want <<'EOR'
{"task":"mine","doc_id":1,"where":"data/rows.jsonl:2","group":"","facts":{},"contexts":["Q: What is red?\nA: blood\n\nQ: What is wet?\nA:","Q: What is red?\nA: blood\n\nQ: What is wet?\nA:"],"continuations":[" water"," sand"],"gold":[0]}
EOR
equal out want "eval show --json"

# Tokens: the continuation is scored, with the space before it.
yes "Q: What is red? A: grass blood water sand" | head -200 >book.txt
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 300
run 0 "$aerie" eval show mine.yaml data --tokenizer t.model
prints "(<bos>)"
[ "$(grep -c 'end of the context' out)" = 1 ] || fail "the context is there more than once"
[ "$(tail -1 out | tr -d '[]')" = "* choice 1, right:  blood" ] || fail "scored is: $(tail -1 out)"
[ "$(tail -3 out | head -1)" = "--- end of the context" ] || fail "a line for each choice"
run 0 "$aerie" eval show mine.yaml data --tokenizer t.model --color always
prints "$(printf '\033[32m* choice 1, right:\033[0m \033[30;48;5;151m')"
run 2 "$aerie" eval show mine.yaml data --apply-chat-template
says "--apply-chat-template: expected --tokenizer or --model, found neither"
run 0 "$aerie" eval show mine.yaml data --tokenizer t.model --apply-chat-template
prints "(<bos>)(<start_of_turn>)"

# A broken row is named, with its field; all others are looked at too.
row() { # ROW MESSAGE
    { cat data/rows.jsonl; echo "$1"; echo "$1"; } >bad.jsonl
    run 3 "$aerie" eval validate mine.yaml bad.jsonl
    says "bad.jsonl: expected rows that fit mine, found 2 that do not"
    prints "bad.jsonl:3: $2"
    prints "bad.jsonl:4: $2"
    run 3 "$aerie" eval show mine.yaml bad.jsonl --first 2
    says "bad.jsonl:3: $2"
}
row '{"qq": "x", "options": ["a", "b"], "right": 0}' "prompt: expected field q, found qq, options, right; did you mean qq?"
row '{"q": "x", "options": ["a", "b"], "right": 2}' "gold: expected a choice from 0 to 1, found 2"
row '{"q": "x", "options": ["a", "b"], "right": -1}' "gold: expected a choice from 0 to 1, found -1"
row '{"q": "x", "options": ["a", "b"], "right": "c"}' 'gold: expected one of the 2 choices, found "c"'
row '{"q": "x", "options": ["a", "b"], "right": null}' "gold: expected a choice, by number or text, or a list, found null"
row '{"q": "x", "options": ["a", ""], "right": 0}' "choices: expected text, found an empty choice 1"
row '{"q": "x", "options": [], "right": 0}' "choices: expected a list of texts, found an empty list"
row '{"q": "x", "options": "a", "right": 0}' "choices: expected a list of texts, found text"
row '{"q": "x", "options": ["a", null], "right": 0}' "choices: expected a list of texts, found null in it"
row '{"q": ["x"], "options": ["a"], "right": 0}' "prompt: q: expected text, found a list"

# change OLD NEW: mine.yaml with something replaced, as changed.yaml.
change() { sed "s#$1#$2#" mine.yaml >changed.yaml; }
change 'format: 1' 'format: 2'
run 2 "$aerie" eval validate changed.yaml data
says "changed.yaml: format: expected 1, which this program reads, found 2"
change 'choices:' 'choice:'
run 2 "$aerie" eval validate changed.yaml data
says "changed.yaml: choice: no such key; did you mean choices?"
change '{{q}}' '{q}'
run 2 "$aerie" eval validate changed.yaml data
says "changed.yaml: prompt: expected a template that names a field, as {{question}}, found none"
change '{{q}}' '{{q|triim}}'
run 2 "$aerie" eval validate changed.yaml data
says "triim: no such filter; did you mean trim?"
change 'rows.jsonl' 'lines.jsonl'
run 3 "$aerie" eval validate changed.yaml data
says "data: expected rows of mine (lines.jsonl; .gz too), found none"
run 3 "$aerie" eval validate mine.yaml data --num-fewshot 2
says "data/rows.jsonl: expected 3 rows for 2 few-shot examples of mine and the document itself, found 2"
run 3 "$aerie" eval validate mine.yaml nowhere
says "nowhere: expected a folder or file, found none"
run 3 "$aerie" eval validate none.yaml data
says "none.yaml"
run 2 "$aerie" eval validate mine .
says "mine: no such task; did you mean mine.yaml?"
run 2 "$aerie" eval validate mine.yaml
says "eval validate: expected TASK and DATA, found 1 word"
run 2 "$aerie" eval show mine.yaml data --first 2
says "--first: expected a document below 2 of mine, found 2"
run 2 "$aerie" eval show mine.yaml data --color red
says "expected auto, always or never"

# CSV with quotes and line ends: a row is named by the line where it begins.
sed 's#rows.jsonl#rows.csv#; s#"{{options}}"#["{{a}}", "{{b}}"]#; s#"{{right}}"#"{{ right | int }}"#' mine.yaml >table.yaml
printf 'q,a,b,right\n"Who, said she,\n""sings""?",bird,"a, b",0\n"Where\nto?",here,there,2\n' >rows.csv
run 3 "$aerie" eval validate table.yaml rows.csv
prints "rows.csv:4: gold: expected a choice from 0 to 1, found 2"
run 0 "$aerie" eval show table.yaml rows.csv
prints 'choice 1: " a, b"'
prints '"sings"?'
printf 'q,a,b,right\n"open,x,y,0\nx,y,z,1\n' >open.csv
run 3 "$aerie" eval validate table.yaml open.csv
says "open.csv:2: expected the quote that closes a field, found the file's end"

# Damaged and cut gzip, and a row that is far too long.
awk 'BEGIN { for (i = 0; i < 4000; i++) printf "{\"q\": \"What is %d times %d?\", \"options\": [\"a\", \"b\"], \"right\": 0}\n", i, i * 7919 % 1013 }' |
    gzip >whole.jsonl.gz
run 0 "$aerie" eval validate mine.yaml whole.jsonl.gz
prints "mine: 4000 documents of whole.jsonl.gz"
half=$(($(wc -c <whole.jsonl.gz) / 2))
head -c $half whole.jsonl.gz >cut.jsonl.gz
run 3 "$aerie" eval validate mine.yaml cut.jsonl.gz
says "cut.jsonl.gz: expected a whole gzip file, found its end missing; fetch it again; line "
says " was the last to be read"
{ head -c $half whole.jsonl.gz; printf XXXXXXXX; tail -c +$((half + 9)) whole.jsonl.gz; } >bad.jsonl.gz
run 3 "$aerie" eval validate mine.yaml bad.jsonl.gz
says "bad.jsonl.gz: expected a gzip file, found damaged data"
{ cat data/rows.jsonl; printf '{"q": "'; head -c 100000000 /dev/zero | tr '\000' x; printf '"}\n'; } | gzip -1 >long.jsonl.gz
run 3 "$aerie" eval validate mine.yaml long.jsonl.gz
says "long.jsonl.gz:3: expected a row of at most 16 MB, found 95 MB"

# The task's own folder comes first for every name and pattern, packed or not; a file that is there twice is read once.
mkdir -p places/many
cp data/rows.jsonl places/stray.jsonl
sed 's#rows.jsonl#["*.jsonl", second.jsonl]#' mine.yaml >many.yaml
head -1 data/rows.jsonl | gzip >places/many/part10.jsonl.gz
run 0 "$aerie" eval validate many.yaml places
prints "mine: 1 document of places/many/part10.jsonl.gz"
head -1 data/rows.jsonl >places/many/part9.jsonl
cp places/many/part9.jsonl places/many/part10.jsonl
run 0 "$aerie" eval validate many.yaml places
prints "mine: 2 documents of places/many/part9.jsonl"
rm places/many/*
gzip -c places/stray.jsonl >places/many/second.jsonl.gz
sed 's#rows.jsonl#[stray.jsonl, second.jsonl]#' mine.yaml >many.yaml
run 0 "$aerie" eval validate many.yaml places
prints "mine: 2 documents of places/many/second.jsonl.gz"
rm places/many/*
run 0 "$aerie" eval validate many.yaml places
prints "mine: 2 documents of places/stray.jsonl"

# What is wrong with an example is said of the example's row.
printf 'fewshot: {count: 1, file: pool.jsonl}\n' | cat mine.yaml - >shots.yaml
echo '{"q": "x", "options": ["a", "b"]}' >data/pool.jsonl
run 3 "$aerie" eval validate shots.yaml data
prints "data/pool.jsonl:1: gold: expected field right, found q, options"
run 3 "$aerie" eval validate shots.yaml data --num-fewshot 2
says "data/pool.jsonl: expected 2 rows for 2 few-shot examples of mine, found 1"
rm data/pool.jsonl
run 3 "$aerie" eval validate shots.yaml data
says "data: expected rows of few-shot examples of mine (pool.jsonl; .gz too), found none; --num-fewshot 0 asks without"
run 3 "$aerie" eval validate shots.yaml data/rows.jsonl
says "data/rows.jsonl: expected rows of few-shot examples of mine (pool.jsonl; .gz too), found none beside it; take a folder with both, or --num-fewshot 0 to ask without examples"
run 0 "$aerie" eval validate shots.yaml data/rows.jsonl --num-fewshot 0

# Parts: what can be read is looked at, and the rest is counted.
printf 'part_prefix: ""\nparts: [north, south, east]\n' | cat mine.yaml - | sed 's#rows.jsonl#"{{part}}.jsonl"#' >parts.yaml
cp data/rows.jsonl data/north.jsonl
echo '{"q": "x", "options": ["a", "b"], "right": 5}' >data/south.jsonl
run 3 "$aerie" eval validate parts.yaml data
prints "data/south.jsonl:1: gold: expected a choice from 0 to 1, found 5"
prints "data: expected rows of east (east.jsonl; .gz too), found none"
prints "mine: 3 documents in 2 of 3 parts"
says "data: expected rows that fit mine, found 1 that do not, and 1 part without rows"
cp data/rows.jsonl data/south.jsonl
run 3 "$aerie" eval validate parts.yaml data
says "data: expected rows of all 3 parts of mine, found 1 part without"
cp data/rows.jsonl data/east.jsonl
run 0 "$aerie" eval validate parts.yaml data
prints "mine: 6 documents in 3 of 3 parts"
mkdir nothing
run 3 "$aerie" eval validate mmlu nothing
says "nothing: expected rows of mmlu_abstract_algebra (test/abstract_algebra_test.csv or "
says "found none; none of the other 56 parts can be read either"
[ "$(cat out err | wc -l)" = 1 ] || fail "a folder without the task: $(cat out err)"

# A condition of rows without braces is text, and so is one with braces around a part of it.
for condition in 'right == 1' '{{right}} == 1'; do
    change '{file: rows.jsonl}' "{file: rows.jsonl, where: \"$condition\"}"
    run 3 "$aerie" eval validate changed.yaml data
    says "data/rows.jsonl:1: where: expected true or false, found text; write the whole condition in one {{ }}"
done
change '{file: rows.jsonl}' '{file: rows.jsonl, where: "{{ right == 1 }}"}'
run 0 "$aerie" eval validate changed.yaml data
prints "mine: 1 document of data/rows.jsonl"

# JSON over several lines is not JSON lines.
printf '{"q": "x", "options": [\n  "a", "b"\n], "right": 0}\n' >data/spread.jsonl
run 3 "$aerie" eval validate mine.yaml data/spread.jsonl
says "data/spread.jsonl:1: expected a JSON object on a line of its own, found one that does not end there"

# A task that stands on another one takes what it does not say.
mkdir -p data/hellaswag
echo '{"activity_label": "A", "ctx_a": "b", "ctx_b": "c", "endings": ["d", "e"], "label": 1}' >data/hellaswag_val.jsonl
printf 'format: 1\ntask: swag\nbase: hellaswag\nversion: 7\nprompt: "{{ctx_a}}"\n' >swag.yaml
run 0 "$aerie" eval show swag.yaml data
prints "* choice 1, right"
run 0 "$aerie" eval ls swag.yaml
prints "swag, version 7.0: how a described situation goes on"
prints "rows      hellaswag_val.jsonl, or validation.jsonl"
sed 's/base: hellaswag/base: helaswag/' swag.yaml >none.yaml
run 2 "$aerie" eval ls none.yaml
says "none.yaml: base: expected a task that \`aerie eval ls\` lists, found helaswag"
rm none.yaml

# Parquet, by its name in the folder and by its bytes.
printf 'PAR1\025\004\025\020' >rows.parquet
mkdir -p hub/hellaswag
cp rows.parquet hub/hellaswag/validation-00000-of-00001.parquet
run 3 "$aerie" eval validate hellaswag hub
says "found Parquet files; write their rows as JSON lines (docs/tasks.md says how)"
run 3 "$aerie" eval validate mine.yaml rows.parquet
says "write its rows as JSON lines"

finish
