#!/bin/sh
. "$(dirname "$0")/common.sh"
script=$here/../../scripts/check-machine.sh

# A row for every kind of kernels of this machine, of numbers.
"$script" --quick "$aerie" >out 2>err || fail "status $?: $(cat err)"
for table in 'float32 multiply-adds | [0-9.]* GFLOP/s |' 'avx2 (own products, even tiles) | [0-9.]* | [0-9.]* | [0-9]* % | [0-9]* % | [0-9]* % |' \
    'avx2 (own products, even tiles), batch 16 | [0-9.]* | [0-9]* % | [0-9]* % |' 'avx2 (own products, even tiles), int4 weights | [0-9.]* | [0-9]* % | [0-9]* % |'; do
    grep -q "^| $table\$" out || fail "no row '$table': $(cat out)"
done
grep -q '| *|' out && [ "$(grep -c '| *|' out)" -gt 1 ] && fail "an empty cell: $(cat out)"

"$script" --slow >out 2>err
[ $? = 2 ] || fail "a flag that is none"
"$script" ./nothing >out 2>err
[ $? = 3 ] || fail "a program that is not there"
grep -q 'check-machine: ./nothing: no such program' err || fail "$(cat err)"
finish
