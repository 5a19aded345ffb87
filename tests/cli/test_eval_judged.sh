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

# Programs: of four answers to each row 2, 1 and 0 pass.
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
metrics: [{metric: pass_at_k, k: [1, 2]}]
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
    grep -qE 'programs: 3 passed, .*1 timed out' err || fail "how programs ended: $(cat err)"
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

finish
