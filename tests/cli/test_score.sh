#!/bin/sh
. "$(dirname "$0")/common.sh"
tiny=$fixtures/tiny

# Log-probabilities as an independent implementation has them in float64, nulls at document starts.
run 0 "$aerie" score --model "$tiny" --input "$here/tiny_lines.jsonl"
list_of logprobs <out >got
awk 'NR == FNR { want[NR] = $1; n = NR; next }
     { if ((want[FNR] == "null") != ($1 == "null")) bad++
       d = want[FNR] - $1; if (d < 0) d = -d
       if ($1 != "null" && d > 2e-5) bad++; m = FNR }
     END { exit bad || n != m || n != 46 }' "$here/tiny_logprobs.txt" got || fail "log-probabilities differ from float64"
awk -F'"sum":' '{ split($2, p, /[,}]/); print p[1] }' out >sums
awk '/null/ { next } { s += $1 } END { print s }' "$here/tiny_logprobs.txt" >want
awk '{ s += $1 } END { print s }' sums >got
awk 'NR == FNR { w = $1; next } { d = w - $1; exit d > 1e-4 || d < -1e-4 }' want got || fail "sums differ from float64"

# The same from standard input, from gzip, into a file, one line at a time, and with one thread.
cp out all
run 0 "$aerie" score --model "$tiny" --output file.jsonl --input "$here/tiny_lines.jsonl"
equal all file.jsonl "--output"
"$aerie" score --model "$tiny" <"$here/tiny_lines.jsonl" >piped 2>/dev/null
equal all piped "standard input"
gzip -c "$here/tiny_lines.jsonl" | "$aerie" score --model "$tiny" --input - >piped 2>/dev/null
equal all piped "gzip from a pipe"
while read -r line; do echo "$line" | "$aerie" score --model "$tiny" 2>/dev/null; done <"$here/tiny_lines.jsonl" >single
equal all single "line by line"
OMP_NUM_THREADS=1 "$aerie" score --model "$tiny" --input "$here/tiny_lines.jsonl" >threads 2>/dev/null
equal all threads "one thread"

echo '{"tokens": [7]}' >line
run 0 "$aerie" score --model "$tiny" --input line --top 2
grep -q '^{"logprobs":\[\],"sum":0.0,"count":0,"top":\[\]}$' out || fail "one token: $(cat out)"
echo '{"tokens": [7, 9, 9], "loss_mask": [1, 0, 1]}' >line
run 0 "$aerie" score --model "$tiny" --input line --top 2
prints '"count":1'
[ "$(list_of logprobs <out | grep -c '^-')" = 2 ] || fail "masked places keep their number"
[ "$(grep -o '\[[0-9]*,-[0-9.]*\]' out | wc -l)" = 4 ] || fail "--top 2 of two places: $(cat out)"

refuse() { # LINE WORDS
    printf '%s\n%s\n' '{"tokens": [1, 2]}' "$1" >line
    run 3 "$aerie" score --model "$tiny" --input line --output none.jsonl
    says "line:2: "
    says "$2"
    absent none.jsonl none.jsonl.part-*
}
refuse '{"tokens": [1, 64]}' "expected 0 to 63, found 64"
refuse '{"tokens": [1, -1]}' "found -1"
refuse '{"tokens": [1, 2], "positions": [0, 2]}' "positions[1]"
refuse '{"tokens": [1, 2], "positions": [1, 2]}' "positions[0]"
refuse '{"tokens": [1, 2], "loss_mask": [1]}' "as many entries"
refuse '{"tokens": []}' "at least one token"
refuse '{"text": "a"}' "no tokenizer"
refuse '{"tokens": [1, 2]' "expected JSON"
refuse '{"other": 1}' "found neither"
refuse '' "empty line"
refuse '{"text": "'"$(printf '\377')"'"}' "UTF-8"

: >empty
run 3 "$aerie" score --model "$tiny" --input empty
says "found an empty file"
run 3 "$aerie" score --model "$tiny" --input missing
run 3 "$aerie" score --model missing --input "$here/tiny_lines.jsonl"
run 2 "$aerie" score --model "$tiny" --input "$here/tiny_lines.jsonl" --top 65
run 2 "$aerie" score --model "$tiny" --input "$here/tiny_lines.jsonl" --dtype f16
finish
