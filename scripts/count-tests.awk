# Sums the tests of a ctest log, Testing/Temporary/LastTest.log: every case of a Criterion program, one for any other.
# Prints "passed failed skipped". Criterion counts the skipped among the passing.

/^[0-9]+\/[0-9]+ Testing: / { cases = good = left = 0 }

/\[====\] Synthesis: Tested: / {
    for (i = 1; i < NF; i++) {
        if ($i == "Tested:") cases += $(i + 1)
        if ($i == "Passing:") good += $(i + 1)
    }
}

/\[SKIP\] / { left++ }

/^Test Passed\.$/ {
    passed += cases > 0 ? good - left : 1
    skipped += left
}

# A program may fail although its cases pass: a sanitizer spoke, it ran too long, it could not start.
/^Test (Failed|Timeout)|^Unable to find executable/ {
    passed += good - left
    skipped += left
    failed += cases > good ? cases - good : 1
}

END { print passed + 0, failed + 0, skipped + 0 }
