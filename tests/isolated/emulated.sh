#!/usr/bin/env bash
# The kernels of processors that this machine is not, beside the portable ones:
# emulated.sh FOLDER ROUNDS
# AVX-512 with SIMDe's functions in place of the instructions, under ASan and UBSan;
# 64-bit ARM compiled for that processor and run by qemu.
set -euo pipefail
folder=$1
rounds=$2
cd "$(dirname "$0")/../.."
sources=sigil_native/csrc
tests=tests/emulated
documents=../shared/data/json-test-suite/test_parsing
[ -d "$documents" ] || documents=
hashing=("$sources"/{sha256,sha256_avx512,sha256_shani,sha256_armv8,sha256_portable,hmac,secret}.cpp "$tests/kernel_answers.cpp")
transcoding=("$sources"/json_*.cpp "$sources/number.cpp" "$tests/transcoder_answers.cpp")

# Compiles a source for a machine, if it has changed since,: compile MACHINE SOURCE
compile() {
  local machine=$1 source=$2 command object
  object=$folder/$machine/$(basename "$source" .cpp).o
  [ "$object" -nt "$source" ] && [ -z "$(find "$sources" "$tests" -newer "$object" -name '*.h' -print -quit)" ] && return
  if [ "$machine" = arm ]; then
    command=(aarch64-linux-gnu-g++ -O2)
  else
    command=(g++ -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined)
    # Only what would hold the instructions sees the header that stands in for them.
    case $source in
      *avx512.cpp) command+=(-DSIGIL_EMULATED -Wno-psabi "-I$tests/include") ;;
    esac
  fi
  "${command[@]}" -std=c++17 -Wall -Wextra "-I$sources" -c "$source" -o "$object"
}
export -f compile
export folder sources tests

for machine in arm avx512; do
  mkdir -p "$folder/$machine"
  printf '%s\0' "${hashing[@]}" "${transcoding[@]}" | xargs -0 -P "$(nproc)" -I{} bash -euo pipefail -c "compile $machine {}"
done

# Links what was compiled from the sources given: program MACHINE NAME SOURCE...
program() {
  local machine=$1 name=$2 source objects=() command=(g++ -fsanitize=address,undefined)
  [ "$machine" = arm ] && command=(aarch64-linux-gnu-g++ -static)
  for source in "${@:3}"; do objects+=("$folder/$machine/$(basename "$source" .cpp).o"); done
  "${command[@]}" "${objects[@]}" -o "$folder/$machine/$name"
}
for machine in arm avx512; do
  program "$machine" kernel_answers "${hashing[@]}"
  program "$machine" transcoder_answers "${transcoding[@]}"
done

"$folder/avx512/transcoder_answers" avx512 $((rounds * 4000)) $documents
qemu-aarch64 -cpu max "$folder/arm/kernel_answers" armv8-sha2 "$rounds"
qemu-aarch64 -cpu max "$folder/arm/transcoder_answers" neon $((rounds * 4000)) $documents
# What AVX-512 leaves to the SHA extensions is not emulated.
if grep -q -m1 -w sha_ni /proc/cpuinfo; then
  "$folder/avx512/kernel_answers" avx-512 "$rounds"
else
  echo "avx-512: not run, this processor lacks the SHA extensions"
fi
