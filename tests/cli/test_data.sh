#!/bin/sh
. "$(dirname "$0")/common.sh"

awk 'BEGIN { for (i = 0; i < 400; i++) printf "the %d birds of the hill sing %d songs to a river\n", i, i * i }' >book.txt
awk 'BEGIN { for (i = 0; i < 20; i++) printf "{\"id\": %d, \"text\": \"bird number %d sings\\nto the hill\"}\n", i, i }' >docs.jsonl
run 0 "$aerie" tokenizer train --input book.txt docs.jsonl --output t.model --vocab-size 330

# One document: its end is held out.
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output book --json
prints '"documents":1,'
prints '"train_documents":1,'
prints '"heldout_documents":1,'
run 0 "$aerie" data validate book/train.h5 book/heldout.h5
prints 'book/heldout.h5: well-formed'

# Many: the last tenth of them, and the same sets from gzip and from any number of threads.
run 0 "$aerie" data prepare --input docs.jsonl --tokenizer t.model --output docs
prints '20 documents (0 empty ones left out)'
prints 'tokens in 18 documents'
gzip -c docs.jsonl >docs.jsonl.gz
run 0 "$aerie" data prepare --input docs.jsonl.gz --tokenizer t.model --output docs_gz --threads 1
for part in train heldout; do
    run 0 "$aerie" data inspect docs/$part.h5 --json --documents 100
    cp out $part.json
    run 0 "$aerie" data inspect docs_gz/$part.h5 --json --documents 100
    equal out $part.json "gzip, one thread: $part"
done
[ "$(wc -l <heldout.json)" = 2 ] || fail "expected 2 documents held out"
grep -q '"text":"bird number 19 sings\\nto the hill"' heldout.json || fail "the last document is held out whole"
run 0 "$aerie" data prepare --input docs.jsonl --tokenizer t.model --output docs_3 --threads 3
equal docs/train.h5 docs_3/train.h5 "three threads"
equal docs/heldout.h5 docs_3/heldout.h5 "three threads"
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output parts --split-on '5 songs to a river\n' --heldout 0
prints '41 documents'
absent parts/heldout.h5

# Big documents miss the share that is asked for.
for i in 1 2 3; do cp book.txt part$i.txt; done
run 0 "$aerie" data prepare --input part1.txt part2.txt part3.txt --tokenizer t.model --output few
warns '--heldout: 33.3 % of the tokens are held out, 10 % were asked for: the last 1 of 3 documents'
prints 'tokens in 1 document'
prints 'tokens in 2 documents'
run 0 "$aerie" data prepare --input docs.jsonl --tokenizer t.model --output enough
grep -q -- '--heldout' err && fail "2 of 20 documents are a tenth"

# Rows as training sees them.
run 0 "$aerie" data inspect docs/train.h5 --rows 2 --row-tokens 8 --json
[ "$(wc -l <out)" = 2 ] || fail "expected 2 rows"
prints '"positions":[0,1,2,3,4,5,6,7]'
run 0 "$aerie" data inspect docs/train.h5 --documents 1
prints '(<bos>)[b'
run 0 "$aerie" data inspect docs/train.h5 --documents 1 --color always
prints "$(printf '\033[1;31m<bos>')"

# What is refused leaves nothing.
run 2 "$aerie" data prepare --input book.txt --tokenizer t.model --output book
says 'book/train.h5: exists already'
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output book --force --heldout=0.2
run 2 "$aerie" data prepare --input book.txt --tokenizer t.model --output x --heldout 0.7
says 'heldout: expected a share from 0 to 0.5, found 0.7'
run 2 "$aerie" data prepare --input - --tokenizer t.model --output x
says 'save it to a file first'
run 2 "$aerie" data prepare --tokenizer t.model --output x
says '--input is missing'
run 3 "$aerie" data prepare --input none.txt --tokenizer t.model --output x
says 'none.txt: expected a file'
run 3 "$aerie" data prepare --input book.txt --tokenizer none.model --output x
says 'none.model: expected a file'
: >empty.txt
run 3 "$aerie" data prepare --input book.txt empty.txt --tokenizer t.model --output x
says 'empty.txt: expected text, found an empty file'
printf 'fine\nnot \377\n' >bad.txt
run 3 "$aerie" data prepare --input book.txt bad.txt --tokenizer t.model --output x
says 'bad.txt:2: expected UTF-8 text'
run 3 "$aerie" data prepare --input docs.jsonl --text-key body --tokenizer t.model --output x
says "docs.jsonl:1: expected an object with text in the field 'body', found no such field"
head -c $(($(wc -c <docs.jsonl.gz) / 2)) docs.jsonl.gz >cut.jsonl.gz
run 3 "$aerie" data prepare --input cut.jsonl.gz --tokenizer t.model --output x
says 'cut.jsonl.gz: expected a whole gzip file'
run 2 "$aerie" data prepare --input book.txt --tokenizer t.model --output book.txt/x
says 'book.txt'
absent x

# One bad line of many: left out when asked, told in the report, in JSON and in the set.
printf '{"text": "one bird", "id": 18446744073709551615}\n{"text": "half \\udcb2"}\n{"text": "two birds", "score": NaN}\n' >scraped.jsonl
run 3 "$aerie" data prepare --input scraped.jsonl --tokenizer t.model --output x
says 'scraped.jsonl:2: text: expected characters, found \udcb2, half of a surrogate pair'
run 0 "$aerie" data prepare --input scraped.jsonl --tokenizer t.model --output scraped --bad-lines skip --json
prints '"documents":2,'
prints '"bad_lines":{"count":1,"first":["scraped.jsonl:2: text: expected characters'
grep -q '^warning: 1 bad lines are left out:' err || fail "bad lines are not told"
grep -aq '"bad_lines":1' scraped/train.h5 || fail "the set does not say what was left out"
run 2 "$aerie" data prepare --input scraped.jsonl --tokenizer t.model --output y --bad-lines drop
says '--bad-lines: expected error or skip'
cp docs.jsonl docs.txt
run 3 "$aerie" data prepare --input docs.txt --tokenizer t.model --output y
says 'give --format jsonl'
run 0 "$aerie" data prepare --input docs.txt --tokenizer t.model --output y --format jsonl
run 2 "$aerie" data prepare --input docs.txt --tokenizer t.model --output z --format json
says '--format: expected auto, text or jsonl'
mkfifo pipe
run 2 "$aerie" data prepare --input pipe --tokenizer t.model --output z
says 'pipe: the input is read more than once'
run 0 "$aerie" tokenizer train --input scraped.jsonl --output s.model --vocab-size 275 --bad-lines skip
grep -q '^warning: 1 bad lines are left out:' err || fail "bad lines are not told"
printf '{"txt": "one"}\nnothing\n' >bad.jsonl
run 3 "$aerie" data prepare --input bad.jsonl --tokenizer t.model --output bad --bad-lines skip
says 'expected documents with text, found none'
grep -q '^warning:   bad.jsonl:2: expected JSON' err || fail "bad lines are not told after a failure"
run 3 "$aerie" tokenizer train --input bad.jsonl --output y.model --vocab-size 275 --bad-lines skip
grep -q '^warning:   bad.jsonl:2: expected JSON' err || fail "bad lines are not told after a failure"

# Of two that write one folder the second is refused, and touches nothing of the first one's.
mkdir -p taken/.partial
echo half >taken/.partial/train.h5
run 2 flock -n taken "$aerie" data prepare --input book.txt --tokenizer t.model --output taken
says 'taken: another process is writing there'
[ "$(cat taken/.partial/train.h5)" = half ] || fail "the first one's partial file was touched"
run 0 "$aerie" data prepare --input book.txt --tokenizer t.model --output taken
absent taken/.partial

head -c 3000 book/train.h5 >cut.h5
run 3 "$aerie" data validate book/heldout.h5 cut.h5
says 'cut.h5: '
run 3 "$aerie" data inspect book
says 'found a folder; name a file such as book/train.h5'
run 2 "$aerie" data inspect book/train.h5 --color sometimes
says '--color: expected auto, always or never'
run 2 "$aerie" data inspect book/train.h5 --first 7
says '--first: expected a document below 1, found 7'
run 2 "$aerie" data validate
says 'expected a token set, found none'
for part in prepare validate inspect; do
    run 0 "$aerie" data $part --help
    prints "usage: aerie data $part"
done
finish
