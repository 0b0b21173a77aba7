// The fast path with AVX-512.
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

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 finds its own intrinsics' undefined operands suspicious.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

SIGIL_TARGET_BEGIN("avx2,bmi,bmi2,popcnt,pclmul,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi2")

namespace sigil {
namespace avx512 {
namespace {
#include "json_block_avx512.h"
#include "json_utf8_avx2.h"
#include "json_passes.h"
}  // namespace

Outcome transcode(const std::uint8_t* text, std::size_t size, const JsonOptions& options, Scratch& scratch,
                  ByteBuffer& out) noexcept {
    return run_passes(text, size, options, scratch, out);
}

}  // namespace avx512
}  // namespace sigil

SIGIL_TARGET_END
#endif
