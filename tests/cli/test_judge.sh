#!/bin/sh
. "$(dirname "$0")/common.sh"

# ---- studies of answers that are given ----

cat >rows.jsonl <<'END'
{"id": "one", "prompt": "Say <one>.", "completions": [{"model": "north", "completion": "One."}, {"model": "south", "completion": "one"}]}

{"id": 2, "messages": [{"role": "user", "content": "Say two."}], "completions": [{"model": "south", "completion": ""}, {"model": "north", "completion": "2"}]}
{"id": "one", "prompt": "Say <one>.", "completions": [{"model": "west", "completion": "1"}, {"model": "north", "completion": "One."}]}
END
run 0 "$aerie" judge make rows.jsonl --output given
prints "given: 2 prompts, 3 models, 4 pairs to judge"
grep -qF '{"id":"one","prompt":"Say <one>.","answers":["One.","one","1"]}' given/items.jsonl || fail "items: $(cat given/items.jsonl)"
grep -qF '"answers":["2","",null]' given/items.jsonl || fail "items: $(cat given/items.jsonl)"
run 0 "$aerie" judge make rows.jsonl --output given
prints "it was whole already"
run 2 "$aerie" judge make rows.jsonl --output given --limit 1
says "given: holds a study of other prompts, models or settings"
run 0 "$aerie" judge report given
prints "no votes yet"
run 0 "$aerie" judge report given --output empty.html
grep -qx 'empty.html' err || fail "the page is not named: $(cat err)"

# Answers of another program, in the order of the prompts or by id.
printf '{"prompt": "a"}\n{"prompt": "b"}\n{"prompt": "c"}\n' >prompts.jsonl
printf '{"answer": "a1"}\n{"text": "b1", "tokens": [3], "finish": "stop"}\n{"completion": "c1"}\n' >first.jsonl
printf '{"id": 3, "answer": "c2"}\n{"id": "1", "answer": "a2"}\n{"id": 2, "answer": "b2"}\n' >second.jsonl
run 0 "$aerie" judge make prompts.jsonl first.jsonl other=second.jsonl --output both
[ "$(sed 's/.*"answers"://' both/items.jsonl | tr -d '\n')" = '["a1","a2"]}["b1","b2"]}["c1","c2"]}' ] || fail "items: $(cat both/items.jsonl)"
grep -q '"name": "first"' both/study.json && grep -q '"name": "other"' both/study.json || fail "names"

# ---- models ----

awk 'BEGIN { for (i = 0; i < 400; i++) printf "user %d asks: is %d more than %d? yes, it is; no, it is not.\n", i % 7, i, i % 31 }' >text.txt
run 0 "$aerie" tokenizer train --input text.txt --output t.model --vocab-size 300
awk 'BEGIN { for (i = 0; i < 24; i++)
         printf "{\"prompt\": \"is %d more than %d?\", \"chosen\": \"yes, it is\", \"rejected\": \"no, it is not\"}\n", i + 9, i % 5 }' >pairs.jsonl
run 0 "$aerie" data prepare --input text.txt --tokenizer t.model --output text
for seed in 1 2; do
    run 0 "$aerie" pretrain run.dir=m$seed run.seed=$seed data.train=text/train.h5 model.width=32 model.recurrent_width=32 model.mlp_width=64 \
        model.heads=2 model.blocks=3 model.window=16 train.row_tokens=32 train.batch_rows=2 train.steps=2 train.sample_tokens=0
done
run 0 "$aerie" reward run.dir=taste model.init=m1 data.train=pairs.jsonl train.row_tokens=128 train.batch_rows=6 train.steps=8
sed 's/, "chosen.*/}/' pairs.jsonl >asked.jsonl
sed 's/.*"chosen": \("[^"]*"\).*/{"answer": \1}/' pairs.jsonl >yes.jsonl
sed 's/.*"rejected": \("[^"]*"\).*/{"answer": \1}/' pairs.jsonl >no.jsonl

run 0 "$aerie" judge make asked.jsonl m1 m2 yes.jsonl --output asked --max-new 12 --seed 5
prints "asked: 24 prompts, 3 models, 72 pairs to judge"
[ "$(ls asked)" = "items.jsonl
study.json" ] || fail "left behind: $(ls asked)"
# The answers are those of generate.
sed 's/.*"prompt": \("[^"]*"\).*/{"messages": [{"role": "user", "content": \1}]}/' asked.jsonl >generate.jsonl
run 0 "$aerie" generate --model m2 --input generate.jsonl --max-new 12 --seed 5 --output alone.jsonl
run 0 "$aerie" judge make asked.jsonl m1 m2=alone.jsonl yes.jsonl --output alone --max-new 12 --seed 5 --batch 3
equal asked/items.jsonl alone/items.jsonl "answers of generate"
# A make that was broken off goes on, and ends the same.
mkdir broken
run 0 "$aerie" judge make asked.jsonl m1 m2 yes.jsonl --output once --max-new 12 --seed 5
"$aerie" judge make asked.jsonl m1 m2 yes.jsonl --output broken --max-new 12 --seed 5 --batch 1 >out 2>err &
maker=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -s broken/answers-1.jsonl ] && break
    sleep 0.1
done
kill -9 $maker 2>/dev/null
wait $maker 2>/dev/null
if [ ! -e broken/study.json ]; then
    printf '{"answer":"half a li' >>broken/answers-1.jsonl
    run 2 "$aerie" judge make asked.jsonl m1 m2 yes.jsonl --output broken --max-new 13 --seed 5
    says "broken: holds a study of other prompts"
    if [ -s broken/answers-1.jsonl ]; then # another model of that name, whose matrices alone are others
        mv m1 kept
        run 0 "$aerie" quantize --model kept --output m1 --dtype int8 --group 32
        run 2 "$aerie" judge make asked.jsonl m1 m2 yes.jsonl --output broken --max-new 12 --seed 5
        says "expected the model that wrote the first"
        rm -r m1 && mv kept m1
    fi
fi
run 0 "$aerie" judge make asked.jsonl m1 m2 yes.jsonl --output broken --max-new 12 --seed 5
equal asked/items.jsonl broken/items.jsonl "after a kill"

# ---- models as raters ----

run 0 "$aerie" judge make asked.jsonl yes.jsonl no.jsonl --output yesno
run 0 "$aerie" judge add yesno --rater taste --reward taste --tie 0.5
prints "yesno: 24 votes of taste added, 0 of them there already"
run 0 "$aerie" judge add yesno --rater taste --reward taste --tie 0.5
prints "yesno: 0 votes of taste added, 24 of them there already"
run 0 "$aerie" score --reward --model taste --input pairs.jsonl
wins=$(sed 's/{"chosen":\([^,]*\),"rejected":\([^}]*\)}/\1 \2/' out | awk '$1 > $2 { n++ } END { print n + 0 }')
run 0 "$aerie" judge report yesno --json
grep -qF "\"raters\":\"taste\",\"kind\":\"model\",\"votes\":24" out || fail "report: $(cat out)"
grep -qF "\"a\":\"yes\",\"b\":\"no\",\"wins\":$wins,\"ties\":0,\"losses\":$((24 - wins))" out || fail "other votes than rewards ($wins wins): $(cat out)"
run 0 "$aerie" judge add yesno --rater asked --ask m1
grep -q '"rater":"asked","kind":"model".*"judge":"ask [0-9a-f]\{16\}","log_odds":' yesno/votes.jsonl || fail "votes: $(tail -1 yesno/votes.jsonl)"
run 0 "$aerie" judge report yesno --json
asked=$(sed 's/.*"raters":"asked"[^[]*\[{"a":"yes","b":"no","wins":\([0-9]*\),"ties":\([0-9]*\),"losses":\([0-9]*\).*/\1 \2 \3/' out)
run 0 "$aerie" judge make asked.jsonl no.jsonl yes.jsonl --output noyes
run 0 "$aerie" judge add noyes --rater asked --ask m1
run 0 "$aerie" judge report noyes --json
# Asked in the other order a model says the same.
grep -qF "\"a\":\"no\",\"b\":\"yes\",\"wins\":${asked##* },\"ties\":$(echo "$asked" | cut -d ' ' -f 2),\"losses\":${asked%% *}," out ||
    fail "other votes in the other order ($asked): $(cat out)"
run 2 "$aerie" judge add yesno --rater taste --ask m1
says "--rater taste: expected the model that judged under this name (reward "
run 0 "$aerie" judge report yesno given --output report.html
prints "taste (a model): 24 votes on 24 of 24 pairs"
prints "asked (a model): 24 votes on 24 of 24 pairs"
prints "]  bootstrap ["
grep -q '<svg' report.html || fail "a report without pictures"
run 2 "$aerie" judge report yesno --output report.html
says "report.html: exists already"

# Votes of people, as the page writes them: 3 of 4 for north.
crc=$(sed -n 's/.*"items_crc32": \([0-9]*\).*/\1/p' given/study.json)
i=0
for choice in -1 2 0 1; do
    i=$((i + 1))
    case $i in 1) pair='"item":"one","left":"north","right":"south"' ;; 2) pair='"item":"2","left":"south","right":"north"' ;;
    3) pair='"item":"one","left":"west","right":"north"' ;; 4) pair='"item":"one","left":"south","right":"west"' ;; esac
    echo "{\"items_crc32\":$crc,\"view\":\"0000000000000000000000000000000$i\",\"rater\":\"anna\",\"kind\":\"person\",$pair,\"choice\":$choice,\"comment\":\"<b>$i\",\"left_acceptable\":true,\"right_acceptable\":null,\"time\":\"\"}"
done >given/votes.jsonl
run 0 "$aerie" judge report given
prints "people: 4 votes on 4 of 4 pairs"
prints "]  bootstrap -, needs 10 prompts"
grep -qE '^  north +south +2 +0 +0 ' out || fail "$(cat out)"
grep -qE '^  north +west +0 +1 +0 ' out || fail "$(cat out)"
run 0 "$aerie" judge report given --output given.html
grep -qF '&lt;b&gt;4</td>' given.html || fail "a report without comments"
printf '{"view":"half' >>given/votes.jsonl
run 0 "$aerie" judge report given
prints "people: 4 votes"
printf '"}\n' >>given/votes.jsonl
run 3 "$aerie" judge report given
says "given/votes.jsonl:5: view: expected 32 hexadecimal digits"

# ---- what is refused ----

shows_usage "$aerie" judge
run 2 "$aerie" judge sreve
says "did you mean serve?"
run 2 "$aerie" judge make --output x
says "expected PROMPTS and models or files of answers, found nothing"
run 2 "$aerie" judge make prompts.jsonl first.jsonl
says "--output is missing"
run 2 "$aerie" judge make prompts.jsonl first.jsonl --output x
says "expected 2 to 16 models or files of answers, found 1"
run 2 "$aerie" judge make prompts.jsonl first.jsonl first.jsonl --output x
says "a second first"
run 3 "$aerie" judge make prompts.jsonl first.jsonl nowhere --output x
says "nowhere: expected a model or a file of answers, found nothing there"
run 3 "$aerie" judge make prompts.jsonl first.jsonl yes.jsonl --output x
says "yes.jsonl:4: expected 3 answers, one for each prompt, found more"
run 3 "$aerie" judge make asked.jsonl first.jsonl yes.jsonl --output x2
says "first.jsonl: expected 24 answers, one for each prompt, found 3"
sed '2d' second.jsonl >gap.jsonl
run 3 "$aerie" judge make prompts.jsonl first.jsonl gap.jsonl --output x3
says "gap.jsonl: expected an answer to item 1, found none"
sed 's/.*/{"answer": "x", "prompt": "b"}/' prompts.jsonl >swapped.jsonl
run 3 "$aerie" judge make prompts.jsonl first.jsonl swapped.jsonl --output x4
says "swapped.jsonl:1: prompt: expected that of item 1, found another"
for bad in '{"id": 1}|prompt: expected text or a list of messages, found no such key' \
    '{"prompt": "a", "messages": []}|found both' \
    '{"prompt": []}|found an empty list' \
    '{"prompt": "a", "id": 1.5}|id: expected text or a whole number, found a number' \
    '{"prompt": "a", "completions": [{"model": "m"}]}|completions: expected' \
    '[1]|expected'; do
    printf '%s\n' "${bad%%|*}" >bad.jsonl
    printf '{"answer": "x"}\n' >one.jsonl
    rm -rf x5
    run 3 "$aerie" judge make bad.jsonl one.jsonl two=one.jsonl --output x5
    says "${bad#*|}"
done
printf '{"id": 1, "prompt": "a"}\n{"id": "1", "prompt": "b"}\n' >bad.jsonl
run 3 "$aerie" judge make bad.jsonl first.jsonl two=first.jsonl --output x6
says "bad.jsonl:2: id: expected one of its own for each prompt, found 1 a second time"
: >empty.jsonl
run 3 "$aerie" judge make empty.jsonl first.jsonl two=first.jsonl --output x7
says "empty.jsonl: expected lines of JSON, found none"
mkdir full && touch full/mine
run 2 "$aerie" judge make prompts.jsonl first.jsonl second.jsonl --output full
says "full: expected an empty folder or none, found files"
run 3 "$aerie" judge serve full
says "full: expected a study with study.json, found none"
run 2 "$aerie" judge serve
says "expected the folder of one study, found none"
run 2 "$aerie" judge serve both --bind nowhere
says "--bind: expected an address such as 127.0.0.1"
run 2 "$aerie" judge add both --rater x
says "either --reward or --ask, found neither"
run 2 "$aerie" judge add both --reward taste
says "--rater is missing"
run 3 "$aerie" judge add both --rater x --reward m1
says "m1: expected a reward model, found none"
run 2 "$aerie" judge add both --rater x --reward taste --tie 0.9 --much 0.8
says "--tie: expected at most --much"
cp -r both torn && sed 's/"format": 1/"format": 2/' both/study.json >torn/study.json
run 3 "$aerie" judge report torn
says "torn/study.json: format: expected 1, found 2; it is of another version of aerie"
head -c 100 both/study.json >torn/study.json
run 3 "$aerie" judge serve torn
says "torn/study.json: expected JSON"
rm torn/study.json
run 3 "$aerie" judge add torn --rater x --reward taste
says "torn: expected a study with study.json, found none; aerie judge make makes one"
cp -r both other && cp yesno/votes.jsonl other
run 3 "$aerie" judge report other
says "other/votes.jsonl:1: left: expected a model of the study, found "
rm other/votes.jsonl
echo 0123 >other/token
run 3 "$aerie" judge serve other
says "other/token: expected 32 hexadecimal digits, found another text; --new-token draws one"
rm other/token other/votes.jsonl && mkdir other/token other/votes.jsonl
run 3 "$aerie" judge serve other
says "other/votes.jsonl: "
rmdir other/votes.jsonl
run 3 "$aerie" judge serve other
says "other/token: "
run 2 "$aerie" judge serve other --new-token
says "other/token: "
run 3 "$aerie" judge serve nowhere
says "nowhere: expected a study with study.json, found none"
run 2 "$aerie" judge serve both --bind 192.0.2.1
says "192.0.2.1 port 8765: expected an address to listen at, found: "
run 2 "$aerie" judge serve both --port 65536
says "--port: expected"
run 2 "$aerie" judge report
says "expected the folder of a study, found none"
"$aerie" judge serve both --port 0 --quiet >served 2>/dev/null &
server=$!
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -s served ] && break
    sleep 0.1
done
port=$(sed 's|.*:\([0-9]*\)/.*|\1|' served)
run 2 "$aerie" judge serve both --port 0
says "both: this study is being served already"
run 2 "$aerie" judge add both --rater x --reward taste
says "both: "
run 2 "$aerie" judge serve yesno --port "$port"
says "127.0.0.1 port $port: expected an address to listen at, found: Address already in use; --port 0 takes a free one"
run 0 "$aerie" judge report both
kill -TERM $server
wait $server || fail "the server ended with $?"
printf 'x' >>both/items.jsonl
run 3 "$aerie" judge report both
says "both/items.jsonl:4: expected JSON"
finish
