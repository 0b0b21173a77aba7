// The fast path with AVX2.
#include "json_levels.h"

#if SIGIL_X86_LEVELS
#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "json_bits.h"
#include "json_number.h"
#include "json_target.h"
#include "json_utf8.h"
#include "json_utf8_rules.h"
#include "page_safe.h"

SIGIL_TARGET_BEGIN("avx2,bmi,bmi2,popcnt,pclmul")

namespace sigil {
namespace avx2 {
namespace {
#include "json_block_avx2.h"
#include "json_utf8_avx2.h"
#include "json_passes.h"
}  // namespace

Outcome transcode(const std::uint8_t* text, std::size_t size, const JsonOptions& options, Scratch& scratch,
                  ByteBuffer& out) noexcept {
    return run_passes(text, size, options, scratch, out);
}

}  // namespace avx2
}  // namespace sigil

SIGIL_TARGET_END
#endif
