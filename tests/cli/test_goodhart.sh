#!/bin/sh
. "$(dirname "$0")/common.sh"
stories=$(realpath "$3")
scripts=$here/../../scripts

figures() { # TASK FLAGS... FILES...
    task=$1
    shift
    awk -f "$scripts/goodhart.awk" -v task="$task" "$@"
}

# ---- answers as lines to score: text keeps its escapes, commas and quotes do not separate ----

cat >answers.jsonl <<'END'
{"prompt":"a \"b\"","answer":"x","reward":1.0,"all":[1.0,0.5,0.25],"answers":["x","say \",\" and \\","y, z"],"tokens":[1,2,3],"truncated":[false,true,false],"row":null}
END
figures texts answers.jsonl >texts
printf '{"prompt":"a \\"b\\"","answer":"%s","truncated":%s}\n' x false 'say \",\" and \\' true 'y, z' false >expected
equal texts expected
printf '{"reward":9.0,"parts":{"grade":0.5,"proxy-8":-1.5,"proxy-64":2e-3}}\n%.0s' 1 2 3 >scores
[ "$(figures scored -v answers=2 -v proxies="8 64" scores)" = "1 0.5 -1.5 0.002
1 0.5 -1.5 0.002
2 0.5 -1.5 0.002" ] || fail "scores in a row: $(figures scored -v answers=2 -v proxies="8 64" scores)"

# ---- the best of n by a proxy: 4 answers worth 0, 1, 2, 9 that the proxy puts in the order 9, 0, 1, 2 ----

printf '1 9 0\n1 0 1\n1 1 2\n1 2 3\n' >scored.txt
figures standard -v proxies=8 scored.txt >standard.txt
[ "$(cut -d ' ' -f 1,2 standard.txt)" = "gold 3
proxy-8 1.5" ] || fail "means: $(cat standard.txt)"
printf '1 9 0\n1 9 1\n' >same.txt
! figures standard -v proxies=8 same.txt 2>said >/dev/null || fail "answers that are all worth the same are taken"
grep -q 'gold: every answer is worth 9' said || fail "answers all worth the same: $(cat said)"
printf 'gold 0 1\nproxy-8 0 1\n' >standard.txt
# Of two, the best is rank 2, 3, 4 in 1, 2, 3 of the 6 pairs: (1 * 0 + 2 * 1 + 3 * 2) / 6 and (1 + 4 + 9) / 6.
figures best -v answers=4 -v column=3 -v name=8 standard.txt scored.txt >best
[ "$(cut -d ' ' -f 1-3,5,6 best)" = "best 8 1 3 1.5
best 8 2 1.33333 2.33333
best 8 4 2 3" ] || fail "best of n: $(cat best)"
[ "$(cut -d ' ' -f 4 best | tail -n 1)" = "$(awk 'BEGIN { print log(4) - 0.75 }')" ] || fail "divergence: $(cat best)"

# ---- evaluations of a run, in deviations from where it began ----

printf 'gold 0.5 0.1\nproxy-8 1 2\n' >standard.txt
cat >metrics.jsonl <<'END'
{"step":0,"eval_reward":0.5,"eval_reward_proxy":1.0,"eval_reward_grade":0.5,"eval_kl":0.0}
{"step":1,"loss":0.5,"kl":0.25,"reward_grade":0.75}
{"step":4,"eval_reward":0.5,"eval_reward_proxy":4.0,"eval_reward_grade":0.45,"eval_kl":2.5}
END
[ "$(figures learnt -v name=8 standard.txt metrics.jsonl | tail -n 1)" = "learn 8 4 2.5 -0.5 1.5" ] ||
    fail "evaluations: $(figures learnt -v name=8 standard.txt metrics.jsonl)"

# ---- fits find the numbers that made the points, and where the truth is at its best ----

awk 'BEGIN { for (i = 1; i < 9; i++) { d = i / 4
    print "best", 8, i, d * d, d * (2 - 0.8 * d), d * (3 - 0.1 * d)
    print "learn", 8, i, d * d, d * (1 - 1.5 * log(d)), d * (1 + log(d)) } }' >curves
[ "$(figures fit curves)" = "best 8 gold 2.0000 0.8000 1.0000 1.56
best 8 proxy 3.0000 0.1000 1.0000 225
learn 8 gold 1.0000 1.5000 1.0000 0.513
learn 8 proxy 1.0000 -1.0000 1.0000 -" ] || fail "fits: $(figures fit curves)"

# ---- a quarter of the labels is swapped, always the same ----

awk 'BEGIN { for (i = 0; i < 800; i++) printf "{\"prompt\":\"p\",\"chosen\":\"good %d\",\"rejected\":\"bad %d\",\"rewards\":[1,0]}\n", i, i }' >pairs
figures flip -v seed=1 -v flipped=swapped pairs >noisy
swapped=$(wc -l <swapped)
[ "$swapped" -gt 160 ] && [ "$swapped" -lt 240 ] || fail "$swapped of 800 labels are swapped"
[ "$(grep -c '"rejected":"good [0-9]*","chosen":"bad' noisy)" = "$swapped" ] || fail "labels: $(head -n 3 noisy)"
[ "$(grep -c '"chosen":"good [0-9]*","rejected":"bad' noisy)" = $((800 - swapped)) ] || fail "others changed"
figures flip -v seed=2 -v flipped=swapped pairs >other
cmp -s noisy other && fail "the seed changes nothing"

# Two members and their average: margins 3 and -1 (sum 2), 1; then -3 and 1 (sum -2), 1.
printf '3 0 0 1 2 1\n' >clean
printf '0 3 1 0 2 1\n' >wrong
figures warm clean wrong | awk '/averaged|mean/ { print $(NF - 3), $(NF - 1) }' >shares
[ "$(cat shares)" = "50.0 50.0
100.0 0.0
100.0 100.0" ] || fail "shares: $(figures warm clean wrong)"

# ---- runs that stop: only a guard of rlhf is asked for ----

cat >stops <<'END'
#!/bin/sh
echo "$MESSAGE" >&2
exit "$STATUS"
END
chmod +x stops
trains() { # STATUS MESSAGE MAY_STOP: whether that counts as a finished run
    rm -f r.done
    STATUS=$1 MESSAGE=$2 may_stop=$3 bash -euc '. "$1/stages.sh"; . "$1/writing.sh"; aerie=./stops; train r rlhf k=v' \
        writing "$scripts" >out 2>&1
    got=$?
    [ $got -ne 0 ] && [ -f r.done ] && fail "marked as finished: $2"
    return $got
}
trains 5 "aerie: rl.guard_kl: step 3: too far" guard || fail "a guard is no end: $(cat out)"
trains 5 "aerie: rl.guard_kl: step 3: too far" "" && fail "a guard that nobody expects is an end"
trains 5 "aerie: training: 3 steps in a row were skipped" guard && fail "skipped steps are an end"
trains 5 "warning: rl.guard_kl: step 3: slower" guard && fail "a warning is an end"
trains 4 "aerie: rl.guard_kl: step 3: too far" guard && fail "another status is an end"

# ---- the whole of it, tiny ----

export OMP_NUM_THREADS=1 # two dozen short runs: on a busy machine threads would only wait for each other
"$stories" --bytes 60K --seed 1 >stories.jsonl
run 0 "$aerie" tokenizer train --input stories.jsonl --output t.model --vocab-size 400
run 0 "$aerie" data prepare --input stories.jsonl --tokenizer t.model --output text
run 0 "$aerie" pretrain run.dir=base data.train=text/train.h5 model.width=16 model.recurrent_width=16 \
    model.mlp_width=32 model.heads=1 model.blocks=3 model.window=16 train.row_tokens=64 train.batch_rows=2 \
    train.steps=3 train.sample_tokens=0
mkdir all
echo mark >all/goodhart
"$stories" --chat all/chat --rows 60 2>/dev/null || fail "no rows"
mkdir programs
ln -s "$stories" programs/aerie-stories
goodhart() { # FLAGS
    AERIE=$aerie AERIE_STORIES=$work/programs "$scripts/goodhart.sh" --dir all --base base --pairs 8 --asked 2 \
        --prompts 2 --answers 4 --steps 2 --sft-steps 15 --warm-pairs 32 --warm-steps 1 --members 2 --warp-steps 1 \
        "$@" rl.max_new=40 >out 2>err || fail "status $?: $(cat out err)"
}
goodhart
for words in "proxy of     8 pairs" "d (a - b d)" "their weights averaged" "e KL(1)"; do
    prints "$words"
done
heldout=$(wc -l <all/chat/prompts-heldout.jsonl)
[ "$heldout" -lt 8 ] || fail "$heldout held-out prompts: expected fewer than four times --prompts"
grep -qE "true reward of $heldout answers: tuned 0\.|not needed: no evaluation was better" out || fail "no guard: $(cat out)"
[ "$(wc -l <all/seed-1/curves.csv)" = $((1 + 3 + 3)) ] || fail "rows of the curves: $(cat all/seed-1/curves.csv)"
[ "$(tail -n 1 all/seed-1/goodhart.svg)" = "</svg>" ] || fail "no picture"
grep -qE 'nan|inf' all/seed-1/goodhart.svg && fail "a place that is no number: $(grep -E 'nan|inf' all/seed-1/goodhart.svg)"
cp all/seed-1/curves.csv first
goodhart --until curves
prints "rl-8: finished before"
equal first all/seed-1/curves.csv "a second time the figures are others"

# Other numbers have files of their own.
goodhart --asked 3 --warm-pairs 40
for rows in 2:drawn-2/answers.jsonl 3:drawn-3/answers.jsonl 32:noisy-32.jsonl 40:noisy-40.jsonl; do
    [ "$(wc -l <"all/seed-1/${rows#*:}")" = "${rows%%:*}" ] || fail "rows of ${rows#*:}, not ${rows%%:*}"
done
[ "$(wc -l <all/seed-1/scored.txt)" = 12 ] || fail "3 prompts with 4 answers: $(wc -l <all/seed-1/scored.txt) rows"
prints "$(wc -l <all/seed-1/flipped-40.jsonl) of 40 labels"
[ -d all/seed-1/warm-40/average ] || fail "no model of 40 pairs"

for flag in --pairs --asked --warm-pairs; do
    (goodhart $flag 5000; exit $failures) >said && fail "$flag 5000: accepted"
    grep -q '^FAIL: status 2:' said && [ "$(wc -l <err)" = 1 ] && grep -q "^goodhart: $flag 5000: expected at most" err ||
        fail "$flag 5000: $(cat said)"
done

finish
