#!/usr/bin/env bash
# Build the fuzz targets with libFuzzer, ASan and UBSan, and run each: run.sh SECONDS
set -euo pipefail
seconds=$1
cd "$(dirname "$0")/.."
folder=build/fuzz
mkdir -p "$folder"
sources=(sigil_native/csrc/json_*.cpp sigil_native/csrc/number.cpp sigil_native/csrc/{audit_line,base64url,sigil_format}.cpp)
pids=()
for target in fuzz/fuzz_*.cpp; do
  name=$(basename "$target" .cpp)
  clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
    -Isigil_native/csrc "$target" "${sources[@]}" -o "$folder/$name"
  mkdir -p "$folder/$name.corpus"
  dictionary="fuzz/${name#fuzz_}.dict"
  "$folder/$name" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$folder/$name-" \
    ${dictionary:+$([ -f "$dictionary" ] && echo "-dict=$dictionary")} "$folder/$name.corpus" \
    >"$folder/$name.log" 2>&1 &
  pids+=("$!:$name")
done
failed=0
for pair in "${pids[@]}"; do
  name=${pair#*:}
  if wait "${pair%%:*}"; then
    printf '%s: %s\n' "$name" "$(grep -E 'stat::number_of_executed_units' "$folder/$name.log" | tr -s ' ')"
  else
    failed=1
    tail -n 40 "$folder/$name.log"
  fi
done
exit "$failed"
