// The fast path once for each set of vector instructions, chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "byte_buffer.h"
#include "json_scratch.h"
#include "json_transcoder.h"

#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define SIGIL_X86_LEVELS 1
#else
#define SIGIL_X86_LEVELS 0
#endif
#if (defined(__GNUC__) || defined(__clang__)) && defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SIGIL_ARM_LEVELS 1
#else
#define SIGIL_ARM_LEVELS 0
#endif

namespace sigil {

// Texts must be shorter than this for 32-bit places, with room for vectors.
constexpr std::size_t kLargestText = 0xFFFFFF00u;

using Transcode = Outcome (*)(const std::uint8_t* text, std::size_t size, const JsonOptions& options,
                              Scratch& scratch, ByteBuffer& out) noexcept;

struct VectorLevel {
    const char* name;
    bool usable;
    Transcode transcode;
};

// Whether a level does with a few questions what the portable one does: quotes, escapes, white
// space, control characters and what is not ASCII, each at every place of a block.
bool proves_itself(Transcode transcode) noexcept;

// All levels of this build, best first; the last one is always usable.
const VectorLevel* vector_levels(std::size_t& count) noexcept;

// The usable level of that name, or nullptr.
const VectorLevel* find_vector_level(const char* name) noexcept;

// The level in use: the best usable one until another is chosen.
const VectorLevel& vector_level() noexcept;
void choose_vector_level(const VectorLevel& level) noexcept;

// As canonicalize_text, at a given level.
bool canonicalize_text_at(const VectorLevel& level, const std::uint8_t* text, std::size_t size,
                          const JsonOptions& options, ByteBuffer& out, Failure& failure) noexcept;

namespace portable {
Outcome transcode(const std::uint8_t*, std::size_t, const JsonOptions&, Scratch&, ByteBuffer&) noexcept;
}
#if SIGIL_X86_LEVELS
namespace sse2 {
Outcome transcode(const std::uint8_t*, std::size_t, const JsonOptions&, Scratch&, ByteBuffer&) noexcept;
}
namespace avx2 {
Outcome transcode(const std::uint8_t*, std::size_t, const JsonOptions&, Scratch&, ByteBuffer&) noexcept;
}
namespace avx512 {
Outcome transcode(const std::uint8_t*, std::size_t, const JsonOptions&, Scratch&, ByteBuffer&) noexcept;
}
#endif
#if SIGIL_ARM_LEVELS
namespace neon {
Outcome transcode(const std::uint8_t*, std::size_t, const JsonOptions&, Scratch&, ByteBuffer&) noexcept;
}
#endif

}  // namespace sigil
