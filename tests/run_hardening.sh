#!/bin/bash
# Checks what a linker and compiler made of the release's flags:   tests/run_hardening.sh PROGRAM
set -euo pipefail

readonly PROGRAM=$1
failed=0
header=$(readelf -h "$PROGRAM") segments=$(readelf -lW "$PROGRAM")
dynamic=$(readelf -dW "$PROGRAM") symbols=$(readelf -W --dyn-syms "$PROGRAM")

expect() {   # what it is, the text, a pattern that must be in it
    if grep -qE "$3" <<<"$2"; then
        echo "ok      $1"
    else
        echo "FAILED  $1"
        failed=1
    fi
}
expect "position independent" "$header" 'Type: +DYN'
expect "relocations read-only" "$segments" GNU_RELRO
expect "symbols bound at the start" "$dynamic" 'FLAGS.*(BIND_NOW|NOW)'
expect "stack not executable" "$segments" 'GNU_STACK .* RW '
expect "stack protector" "$symbols" __stack_chk_fail
expect "checked string functions" "$symbols" '__[a-z]+_chk'
if [ "$(uname -m)" = x86_64 ]; then
    expect "indirect jumps marked" "$(objdump -d --no-show-raw-insn "$PROGRAM" | head -n 5000)" endbr64
fi
exit $failed
