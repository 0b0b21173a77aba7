// The fast path with NEON.
#include "json_levels.h"

#if SIGIL_ARM_LEVELS
#include <arm_neon.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "json_bits.h"
#include "json_number.h"
#include "json_utf8.h"
#include "json_utf8_rules.h"
#include "page_safe.h"

namespace sigil {
namespace neon {
namespace {
#include "json_block_neon.h"
#include "json_utf8_neon.h"
#include "json_passes.h"
}  // namespace

Outcome transcode(const std::uint8_t* text, std::size_t size, const JsonOptions& options, Scratch& scratch,
                  ByteBuffer& out) noexcept {
    return run_passes(text, size, options, scratch, out);
}

}  // namespace neon
}  // namespace sigil
#endif
