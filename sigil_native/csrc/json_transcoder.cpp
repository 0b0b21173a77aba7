#include "json_transcoder.h"

#include <cassert>

#include "json_diagnosis.h"
#include "json_levels.h"
#include "thread_owned.h"

namespace sigil {
namespace {

// The most that a thread keeps between calls, in bytes.
constexpr std::size_t kKeptScratch = std::size_t{1} << 20;
// What texts up to this size need is far below that: the scratch is not above it now if it was not before.
constexpr std::size_t kSmallText = 4096;

bool refuse(Failure& failure, Problem problem, std::size_t offset) noexcept {
    failure.problem = problem;
    failure.offset = offset;
    failure.pointer.clear();
    return false;
}

}  // namespace

bool canonicalize_text_at(const VectorLevel& level, const std::uint8_t* text, std::size_t size,
                          const JsonOptions& options, ByteBuffer& out, Failure& failure) noexcept {
    if (size > options.max_bytes) return refuse(failure, Problem::document_too_large, options.max_bytes);
    if (size > kLargestText) return refuse(failure, Problem::document_too_large, kLargestText);
    const std::size_t before = out.size();
    Scratch& scratch = thread_owned<Scratch>();
    const Outcome outcome = level.transcode(text, size, options, scratch, out);
    if (size > kSmallText) scratch.shrink_if_above(kKeptScratch);
    if (outcome == Outcome::done) return true;
    out.set_size(before);
    if (outcome == Outcome::out_of_memory) return refuse(failure, Problem::out_of_memory, 0);
    if (!is_canonicalizable(text, size, options, failure)) return false;
    assert(!"the fast path refuses what the diagnosis does not");
    return refuse(failure, Problem::none, 0);
}

bool canonicalize_text(const std::uint8_t* text, std::size_t size, const JsonOptions& options, ByteBuffer& out,
                       Failure& failure) noexcept {
    return canonicalize_text_at(vector_level(), text, size, options, out, failure);
}

}  // namespace sigil
