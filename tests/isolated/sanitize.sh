#!/usr/bin/env bash
# The tests of native code on modules built with AddressSanitizer and
# UndefinedBehaviorSanitizer, in a copy of the tree: sanitize.sh PYTHON FOLDER
set -euo pipefail
python=$1
copy=$2
cd "$(dirname "$0")/../.."
reports=$PWD/reports
mkdir -p "$copy" "$reports"
git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents --update --target-directory "$copy"
[ -d ../shared ] && ln -sfn "$(realpath ../shared)" "$(dirname "$copy")/shared"
cd "$copy"
SIGIL_BUILD_SANITIZE=1 "$python" setup.py --quiet build_ext --inplace --parallel "$(nproc)"

# The interpreter is not built with the sanitizers, so their libraries come first;
# what the interpreter itself keeps until its end is no leak of ours.
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
PYTHONMALLOC=malloc \
  "$python" -m pytest --processes "$(nproc)" --quiet -m "not unsanitized" \
  tests/unit tests/conformance tests/parity 2>&1 | tee "$reports/sanitize.log"
