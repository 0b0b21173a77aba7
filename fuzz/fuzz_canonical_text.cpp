// Fuzzes canonicalize_json's C++ side: every vector level gives the same bytes
// or the same failure; what is accepted is its own canonical form; what is
// refused has a problem at a place within the text. Inputs are judged with and
// without exact integers, at ordinary and at small depth, alone and behind
// bytes that are in the output already.
//
// Build and run, from the root of the repository:
//
//   clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -Isigil_native/csrc -o build/fuzz_canonical_text
//     fuzz/fuzz_canonical_text.cpp sigil_native/csrc/json_*.cpp sigil_native/csrc/number.cpp     (one line)
//   build/fuzz_canonical_text -dict=fuzz/canonical_text.dict -max_len=4096 build/corpus
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "json_levels.h"

namespace {

struct Verdict {
    bool accepted = false;
    std::string text;
    sigil::Failure failure;
};

[[noreturn]] void stop(const char* why, const char* level) {
    std::fprintf(stderr, "%s (level %s)\n", why, level);
    std::abort();
}

Verdict judge(const sigil::VectorLevel& level, const std::uint8_t* data, std::size_t size,
              const sigil::JsonOptions& options) {
    // A copy of just this size, so that reading past the end is noticed.
    const std::unique_ptr<std::uint8_t[]> text(new std::uint8_t[size]);
    if (size != 0) std::memcpy(text.get(), data, size);
    sigil::ByteBuffer out;
    constexpr std::size_t kBefore = 3;
    if (!out.reserve(kBefore)) std::abort();
    std::memcpy(out.data(), "abc", kBefore);
    out.set_size(kBefore);
    Verdict verdict;
    verdict.accepted = sigil::canonicalize_text_at(level, text.get(), size, options, out, verdict.failure);
    if (std::memcmp(out.data(), "abc", kBefore) != 0) stop("overwrote what was there", level.name);
    const char* const begin = reinterpret_cast<const char*>(out.data());
    verdict.text.assign(begin + kBefore, out.size() - kBefore);
    if (!verdict.accepted && !verdict.text.empty()) stop("partial output", level.name);
    return verdict;
}

void check(const std::uint8_t* data, std::size_t size, const sigil::JsonOptions& options) {
    std::size_t count = 0;
    const sigil::VectorLevel* const levels = sigil::vector_levels(count);
    const Verdict expected = judge(levels[count - 1], data, size, options);
    const sigil::Failure& failure = expected.failure;
    if (!expected.accepted) {
        if (failure.problem == sigil::Problem::none) stop("refused without a reason", levels[count - 1].name);
        if (failure.offset > size) stop("a place outside the text", levels[count - 1].name);
    }
    for (std::size_t i = 0; i < count; ++i) {
        if (!levels[i].usable) continue;
        const Verdict verdict = judge(levels[i], data, size, options);
        if (verdict.accepted != expected.accepted) stop("levels disagree", levels[i].name);
        if (verdict.text != expected.text) stop("levels write differently", levels[i].name);
        if (verdict.failure.problem != failure.problem || verdict.failure.offset != failure.offset ||
            verdict.failure.pointer != failure.pointer) {
            stop("levels fail differently", levels[i].name);
        }
        if (!expected.accepted) continue;
        // Large fractions have canonical forms that are integers beyond the safe range.
        sigil::JsonOptions exact = options;
        exact.exact_integers = true;
        exact.max_bytes = SIZE_MAX;
        const Verdict again = judge(levels[i], reinterpret_cast<const std::uint8_t*>(expected.text.data()),
                                    expected.text.size(), exact);
        if (!again.accepted || again.text != expected.text) stop("not its own canonical form", levels[i].name);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sigil::JsonOptions options;
    check(data, size, options);
    options.exact_integers = true;
    options.max_depth = 3;
    check(data, size, options);
    options.max_bytes = 40;
    check(data, size, options);
    return 0;
}
