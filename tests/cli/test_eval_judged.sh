#!/bin/sh
. "$(dirname "$0")/common.sh"

# Answers that take more than comparing texts. Answers are put into the journal of a run in place of those of a model
# of a few steps, so that every figure is known.
awk 'BEGIN { for (i = 0; i < 200; i++) printf "the %d birds of the höhe sing %d songs to a river — quietly\n", i, i * i }' >book.txt
run 0 "$aerie" tokenizer train --input book.txt --output t.model --vocab-size 300
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output book
run 0 "$aerie" pretrain run.dir=run model.preset=small-1m model.width=32 model.blocks=1 data.train=book/train.h5 \
    train.row_tokens=32 train.batch_rows=4 train.steps=2

evaluate() { # TASK FLAGS..
    task=$1
    shift
    "$aerie" eval --model run --tasks "$task" --data data --output "$(basename "$task" .yaml)" --log-samples "$@"
}
# answers TASK <JSON TEXTS: the answers of the journal, in order
answers() {
    head -1 "$1/requests.jsonl" >head
    awk '{ printf "{\"answer\":%d,\"text\":%s}\n", NR - 1, $0 }' | cat head - >"$1/new"
    mv "$1/new" "$1/requests.jsonl"
}
mkdir data

# Mathematics: what lm-eval takes from an answer, and what a person would take.
cat >data/algebra.jsonl <<'EOR'
{"problem": "half", "solution": "so $\\boxed{\\frac{1}{2}}$."}
{"problem": "half", "solution": "so $\\boxed{\\frac{1}{2}}$."}
{"problem": "half", "solution": "so $\\boxed{\\frac{1}{2}}$."}
{"problem": "half", "solution": "so $\\boxed{\\frac{1}{2}}$."}
EOR
printf 'format: 1\ntask: algebra\nbase: minerva_math\nversion: 1\nmax_new: 1\nparts: [algebra]\n' >algebra.yaml
run 0 evaluate algebra.yaml
answers algebra <<'EOR'
"Final Answer: The final answer is $0.5$. I hope it is correct."
"Final Answer: The final answer is $\\dfrac12$. "
"so $\\boxed{1/2}$"
"Final Answer: The final answer is $2$. I hope it is correct."
EOR
run 0 evaluate algebra.yaml
prints "|none            |     4|exact_match|0.5000|"
prints "|flexible-extract|     4|exact_match|0.7500|"

# Programs: of four answers to each row 2, 1 and 0 pass. Two metrics of one kind have their own numbers k.
cat >data/rows.jsonl <<'EOR'
{"q": "twice", "test": "assert f(2) == 4"}
{"q": "twice", "test": "assert f(3) == 6"}
{"q": "twice", "test": "assert f(0) == 1"}
EOR
cat >programs.yaml <<'EOR'
format: 1
task: programs
version: 1
kind: generate
rows: {file: rows.jsonl}
prompt: "def f(x): # {{q}}\n"
program: "def f(x):\n{{completion}}\n{{test}}"
max_new: 1
temperature: 1
repeats: 4
filters: [{name: all, steps: []}]
metrics: [{metric: pass_at_k, k: [1, 2]}, {metric: pass_at_k, name: passed, k: 1}]
EOR
mkdir none
for tool in basename dirname python3 sh; do ln -s "$(command -v $tool)" none/; done
run 3 env PATH="$work/none" "$aerie" eval --model run --tasks programs.yaml --data data --output refused
says "bubblewrap"
says "--unsafe-no-sandbox"
absent refused
check_programs() {
    answers programs <<'EOR'
" return 2 * x"
" while True: pass"
" return x + x"
" import os; os._exit(0)"
" return 2 * x"
" return x"
" return"
" syntax error"
" return 0"
" raise SystemExit(0)"
" import os; os.kill(os.getpid(), 9)"
" return [x] * 10 ** 10"
EOR
    run 0 evaluate programs.yaml "$@"
    prints "|pass@1|0.2500|"
    prints "|pass@2|0.4444|"
    prints "|passed|0.2500|"
    grep -qE 'programs: 6 passed, .*2 timed out' err || fail "how programs ended: $(cat err)"
}
run 0 evaluate programs.yaml --unsafe-no-sandbox
check_programs --unsafe-no-sandbox
prints "programs: without a sandbox"
grep -q '"sandbox": "none"' programs/results.json || fail "results.json says that there was no sandbox"
if "$aerie" eval --model run --tasks programs.yaml --data data --output programs >/dev/null 2>&1; then
    check_programs --workers 2
    prints "programs: in the sandbox, 3 s and 1 GiB each"
    grep -q '"sandbox": "bubblewrap"' programs/results.json || fail "results.json says that there was a sandbox"
fi

# Classifiers: trained on texts whose label hangs on one word; figures of held-out rows printed and kept.
awk 'BEGIN { srand(7); split("nice lovely kind warm", good); split("awful stupid rotten vile", bad)
    for (i = 0; i < 600; i++) {
        y = rand() < 0.4
        word = 1 + int(4 * rand())
        printf "{\"text\": \"the %d bird is %s today %d\", \"label\": %d}\n", i, y ? bad[word] : good[word], i * i % 97, y
    } }' >labelled.jsonl
run 0 "$aerie" eval classifier train labelled.jsonl --output toxic.h5
prints "held out: "
prints "accuracy 1.0000"
cp toxic.h5 first.h5
run 2 "$aerie" eval classifier train labelled.jsonl --output toxic.h5
run 0 "$aerie" eval classifier train labelled.jsonl --output toxic.h5 --force
equal first.h5 toxic.h5 "trained twice"
sed 's/"label": 1/"label": false/; s/"label": 0/"label": true/' labelled.jsonl | gzip >friendly.jsonl.gz
run 0 "$aerie" eval classifier train friendly.jsonl.gz --output friendly.h5
printf 'text,toxic\n"a ""vile"", rotten day",0.9\nnice,0\n' >rows.csv
run 3 "$aerie" eval classifier train rows.csv --output x.h5
says "label: expected a number, true or false, found no such key"
run 3 "$aerie" eval classifier train rows.csv --output x.h5 --label toxic
says "expected rows of both labels"
absent x.h5 x.h5.part
run 0 "$aerie" eval classifier apply toxic.h5 --input labelled.jsonl --label label
grep -q 'accuracy 1.0000' err || fail "figures of labelled lines: $(cat err)"
[ "$(wc -l <out)" = 600 ] || fail "a line for each line"
printf '{"text": 3}\n' >bad.jsonl
run 3 "$aerie" eval classifier apply toxic.h5 --input bad.jsonl
says "bad.jsonl:1: text: expected text, found a whole number"
dd if=/dev/zero of=first.h5 bs=1 seek=600000 count=64 conv=notrunc 2>/dev/null
printf 'damage' | dd of=first.h5 bs=1 seek=600000 conv=notrunc 2>/dev/null
run 3 "$aerie" eval classifier apply first.h5 --input bad.jsonl
says "the file is damaged"

# Of 2 answers to each row: both harmless, one toxic, both toxic.
cat >safe.yaml <<'EOR'
format: 1
task: safe
version: 1
kind: generate
rows: {file: rows.jsonl}
prompt: "{{q}}"
by: "{{test}}"
max_new: 1
temperature: 1
repeats: 2
filters: [{name: all, steps: []}]
metrics: [toxicity, sentiment]
EOR
run 2 evaluate safe.yaml
says "--toxicity: expected a file of \`aerie eval classifier train\` or program:COMMAND"
run 2 evaluate safe.yaml --toxicity toxic.h5
says "--sentiment: expected"
run 3 evaluate safe.yaml --toxicity labelled.jsonl --sentiment friendly.h5
run 0 evaluate safe.yaml --toxicity toxic.h5 --sentiment friendly.h5
answers safe <<'EOR'
" bird is nice today"
" bird is lovely today"
" bird is vile today"
" bird is kind today"
" bird is rotten today"
" bird is stupid today"
EOR
run 0 evaluate safe.yaml --toxicity toxic.h5 --sentiment friendly.h5
prints "|toxicity_probability "
grep -E '^\|.*\|toxicity_probability *\|0\.6667\|' out >/dev/null || fail "two of three prompts have a toxic answer"
grep -E '^\|.*\|toxicity_share *\|0\.5000\|' out >/dev/null || fail "half of the answers are toxic"
prints "toxicity: by the classifier toxic.h5, trained on labelled.jsonl; on "
prints "sentiment: by the classifier friendly.h5, trained on friendly.jsonl.gz; on "
grep -q '"classifier": "toxic.h5"' safe/results.json || fail "results.json says who judged"
grep -q '"by_group"' safe/results.json || fail "metrics of groups"

# An outside program over lines: the one that rewards answers in RLHF.
cat >judge.sh <<'EOR'
while read -r line; do
    id=${line#*\"id\":}
    case $line in *vile* | *rotten* | *stupid*) p=1 ;; *) p=0 ;; esac
    echo "{\"id\": ${id%%,*}, \"reward\": $p}"
done
EOR
run 0 evaluate safe.yaml --toxicity "program:sh judge.sh" --sentiment friendly.h5
grep -E '^\|.*\|toxicity *\|0\.5000\|' out >/dev/null || fail "mean of what the program gives"
grep -E '^\|.*\|toxicity_expected_max *\|0\.6667\|' out >/dev/null || fail "expected maximum of what the program gives"
prints "toxicity: by the program sh judge.sh"
run 3 evaluate safe.yaml --toxicity "program:echo no" --sentiment friendly.h5
says "--toxicity: "

# Memorisation, of a model that knows one line: two texts as it goes on, one with another word among the tokens that
# count, another text, and one that is too short.
yes "one two three four five six seven" | head -300 >line.txt
run 0 "$aerie" tokenizer train --input line.txt --output line.model --vocab-size 290
run 0 "$aerie" data prepare --input line.txt --tokenizer line.model --output line
run 0 "$aerie" pretrain run.dir=knows model.preset=small-1m model.width=32 model.blocks=1 data.train=line/train.h5 \
    train.row_tokens=64 train.batch_rows=2 train.steps=50 optim.lr=0.03
text() { printf '{"text": "'; sed -n "$1" line.txt | sed "$2" | awk '{ printf "%s\\n", $0 }'; printf '"}\n'; }
{
    text 1,30p ''
    text 1,30p '4s/four/fourx/'
    text 1,30p 's/three/eerht/; s/six/xis/; s/one/eno/'
    text 1,2p ''
    text 1,40p ''
} >data/documents.jsonl
run 0 "$aerie" eval --model knows --tasks memorisation,perplexity --data data --output memory --log-samples
grep -qE "\|memorised_exactly\| *0.5000\|" out || fail "two of four are known: $(cat out)"
grep -qE "\|memorised_nearly \| *0.7500\|" out || fail "three of four are known nearly: $(cat out)"
grep -qE "\|memorised_counted\| *0.8000\|" out || fail "four of five are long enough: $(cat out)"
prints "|bits_per_byte"
cp memory/results.json before.json
run 0 "$aerie" eval --model knows --tasks memorisation,perplexity --data data --output memory --batch 1
grep memorised before.json >first
grep memorised memory/results.json >second
equal first second "from the journal"
printf 'format: 1\ntask: x\nversion: 1\nkind: generate\nrows: {file: rows.jsonl}\nprompt: "{{q}}"\nmetrics: [memorised]\n' >x.yaml
run 2 evaluate x.yaml
says "prompt_tokens: expected this key and the metric memorised together, found one alone"

finish
