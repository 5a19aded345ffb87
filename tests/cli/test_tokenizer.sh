#!/bin/sh
. "$(dirname "$0")/common.sh"

awk 'BEGIN { for (i = 0; i < 400; i++) printf "the %d birds of the hill sing %d songs to a river\n%s", i, i * i, i % 5 ? "" : "\n" }' >corpus.txt

run 0 "$aerie" tokenizer train --input corpus.txt --output t.model --vocab-size 340 --json
prints '"vocab_size":340'
run 0 "$aerie" tokenizer train --input corpus.txt corpus.txt --output twice.model --vocab-size 290 --kind unigram
run 0 "$aerie" tokenizer train --input corpus.txt --output again.model --vocab-size=340
equal t.model again.model "training twice"

# What is refused leaves no file.
run 2 "$aerie" tokenizer train --input corpus.txt --output t.model --vocab-size 340
says 't.model: exists already; --force replaces it'
run 0 "$aerie" tokenizer train --input corpus.txt --output t.model --vocab-size 340 --force
run 2 "$aerie" tokenizer train --input corpus.txt --output x.model
says '--vocab-size is missing'
run 2 "$aerie" tokenizer train --input corpus.txt --output x.model --vocab-size 50000
says 'vocabulary size: expected at most'
run 2 "$aerie" tokenizer train --input corpus.txt --output x.model --vocab-size 340 --kind bpp
says "kind: expected bpe or unigram, found 'bpp'"
run 2 "$aerie" tokenizer train --input corpus.txt --output x.model --vocab-sise 340
says 'did you mean --vocab-size?'
run 0 "$aerie" tokenizer train --input corpus.txt --output new/folder/x.model --vocab-size 340
equal t.model new/folder/x.model
run 2 "$aerie" tokenizer train --input corpus.txt --output t.model/x.model --vocab-size 340
says 't.model: expected a folder, found a file in the way'
run 2 "$aerie" tokenizer train --input corpus.txt --output /dev/full --vocab-size 340
says '/dev/full: expected the name of a file, found a device or pipe'
run 3 "$aerie" tokenizer train --input none.txt --output other/x.model --vocab-size 340
absent other
run 3 "$aerie" tokenizer train --input none.txt --output x.model --vocab-size 340
says 'none.txt: expected a file'
printf 'fine\nnot \377\n' >bad.txt
run 3 "$aerie" tokenizer train --input bad.txt --output x.model --vocab-size 340
says 'bad.txt:2: expected UTF-8 text, found byte 0xFF at offset 9'
: >empty.txt
run 3 "$aerie" tokenizer train --input empty.txt --output x.model --vocab-size 340
says 'empty.txt: expected text, found an empty file'
absent x.model no

# Its threads do not start: stacks of 4 GB and less address space than that for all.
if ! ldd "$aerie" | grep -q asan; then # the sanitizer wants terabytes of address space
    run 4 sh -c 'ulimit -s 4194304 && ulimit -v 16000000; exec "$@"' - "$aerie" tokenizer train --input corpus.txt --output x.model --vocab-size 340
    says 'tokenizer training: 16 threads do not start'
    absent x.model
fi

# Lines come back to the byte, as numbers and as JSON.
printf 'the birds 42\n\n   deep \t<bos> caf\303\251 \342\226\201 \360\237\230\200\n' >lines
run 0 "$aerie" tokenizer encode --tokenizer t.model --input lines
cp out ids
run 0 "$aerie" tokenizer decode --tokenizer t.model --input ids
equal out lines "decode of encode"
run 0 "$aerie" tokenizer encode --tokenizer t.model --input lines --json
prints '{"tokens":['
"$aerie" tokenizer decode --tokenizer t.model <out >back 2>err || fail "decode of JSON: $(cat err)"
equal back lines "decode of JSON"
run 0 "$aerie" tokenizer decode --tokenizer t.model --input ids --json --output back.jsonl
grep -q '^{"text":"the birds 42"}$' back.jsonl || fail "decode --json: $(head -1 back.jsonl)"
[ "$(head -1 ids | wc -w)" -ge 4 ] || fail "digits are not split: $(head -1 ids)"

echo '5 7 340' >bad_ids
run 3 "$aerie" tokenizer decode --tokenizer t.model --input bad_ids
says 'bad_ids:1: token 2: expected an id below 340, found 340'
echo '5 x' >bad_ids
run 3 "$aerie" tokenizer decode --tokenizer t.model --input bad_ids
says 'bad_ids:1: expected token ids, found something else as number 2'
run 3 "$aerie" tokenizer encode --tokenizer t.model --input bad.txt
says 'bad.txt:2: text: expected UTF-8'
run 3 "$aerie" tokenizer encode --tokenizer corpus.txt --input lines
says 'corpus.txt: expected a sentencepiece model'
run 2 "$aerie" tokenizer encode --input lines
says '--tokenizer is missing'

run 0 "$aerie" tokenizer inspect t.model --pieces 7
prints '340 pieces: 6 control, 256 bytes, 78 learned'
prints '      2  <bos>'
run 0 "$aerie" tokenizer inspect --tokenizer t.model --json
prints '"special":{"pad":0,"eos":1,"bos":2,"unk":3,"start_of_turn":4,"end_of_turn":5}'

# A model that the library does not take: its own reason. Other files by their name.
head -c 3000 t.model >cut.model
run 3 "$aerie" tokenizer inspect cut.model
says 'cut.model: expected a sentencepiece model, found something else or a part of one (the library says:'
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\n' >pointer.model
run 3 "$aerie" tokenizer inspect pointer.model
says 'found a pointer of git-lfs in place of the file; fetch the file itself'

# Text that becomes <unk> is lost, and told.
"$3" plain.model '--vocab_size=60 --model_type=bpe' corpus.txt || fail "no odd model"
printf 'the birds \360\237\230\200\360\237\230\200 sing \316\251\n' >lost.txt
run 0 "$aerie" data prepare --input lost.txt --tokenizer plain.model --output lost --heldout 0 --json
prints '"unknown_tokens":2,"lost_bytes":10,'
grep -q 'warning: 2 tokens are <unk>: 10 bytes of the text' err || fail "lost text is not told"
run 0 "$aerie" data prepare --input lost.txt --tokenizer t.model --output kept --heldout 0 --json
prints '"unknown_tokens":0,"lost_bytes":0,'

# One long line takes no longer than many short ones; it took minutes with its square.
awk 'BEGIN { for (i = 0; i < 320000; i++) printf "the %d birds of the hill sing %d songs to a river ", i % 997, i % 89 }' >long.txt
run 0 timeout 100 "$aerie" tokenizer train --input long.txt --output long.model --vocab-size 320

# A signal ends the training at once, and leaves nothing. The training proper runs in a child.
"$aerie" tokenizer train --input long.txt --output stopped.model --vocab-size 320 --kind unigram >out 2>err &
pid=$!
children=/proc/$pid/task/$pid/children
while [ -z "$(cat "$children")" ] && kill -0 $pid; do sleep 0.05; done
kill -TERM $pid
wait $pid
got=$?
[ $got = 130 ] || fail "SIGTERM ended with status $got"
absent stopped.model stopped.model.part-*

run 2 "$aerie" tokenizer encod
says 'did you mean encode?'
for part in train encode decode inspect trim; do
    run 0 "$aerie" tokenizer $part --help
    prints "usage: aerie tokenizer $part"
done
finish
