// The fast path with SSE2.
#include "json_levels.h"

#if SIGIL_X86_LEVELS
#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "json_bits.h"
#include "json_number.h"
#include "json_utf8.h"
#include "page_safe.h"

namespace sigil {
namespace sse2 {
namespace {
#include "json_block_sse2.h"
#include "json_passes.h"
}  // namespace

Outcome transcode(const std::uint8_t* text, std::size_t size, const JsonOptions& options, Scratch& scratch,
                  ByteBuffer& out) noexcept {
    return run_passes(text, size, options, scratch, out);
}

}  // namespace sse2
}  // namespace sigil
#endif
