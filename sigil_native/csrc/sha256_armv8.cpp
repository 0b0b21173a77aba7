// SHA-256 with the ARMv8 Cryptographic Extension (Arm ARM, SHA256H, SHA256H2,
// SHA256SU0, SHA256SU1), one stream or two interleaved. Four rounds take two
// instructions, four words of the message schedule two more; the state stays as ABCD
// and EFGH.
// Not measured here. By published latencies (Arm's Software Optimization Guides of
// Cortex-A72 to Neoverse N1) a block is a chain of 16 pairs of SHA256H and SHA256H2, 5 to
// 8 cycles each: 80 to 140 cycles a block alone. The unit starts one of the 56
// instructions of a block in every cycle, so a second, independent stream fills what the
// first leaves empty: from 60 cycles a block in a pair, and no core with one unit can do
// with fewer than 56.
#include "sha256_kernel.h"

// Before version 16, Clang has the intrinsics only where the whole file is compiled
// for them.
#if defined(__clang__) && __clang_major__ < 16 && !defined(__ARM_FEATURE_SHA2)
#define SIGIL_NO_SHA2_INTRINSICS
#endif

#if defined(__aarch64__) && defined(__GNUC__) && !defined(SIGIL_NO_SHA2_INTRINSICS) && \
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include <arm_neon.h>

#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#if defined(__clang__)
#define SIGIL_SHA __attribute__((target("sha2")))
#else
#define SIGIL_SHA __attribute__((target("+crypto")))
#endif
#define SIGIL_SHA_INLINE SIGIL_SHA __attribute__((always_inline)) inline

namespace sigil {
namespace {

struct State {
    uint32x4_t abcd;
    uint32x4_t efgh;
};

struct Words {
    uint32x4_t quad[4];
};

SIGIL_SHA_INLINE State load_state(const std::uint32_t* words) noexcept {
    return {vld1q_u32(words), vld1q_u32(words + 4)};
}

SIGIL_SHA_INLINE void store_state(std::uint32_t* words, State state) noexcept {
    vst1q_u32(words, state.abcd);
    vst1q_u32(words + 4, state.efgh);
}

// Big-endian words to host order and back.
SIGIL_SHA_INLINE uint8x16_t swap_bytes(uint8x16_t bytes) noexcept { return vrev32q_u8(bytes); }

SIGIL_SHA_INLINE Words load_block(const std::uint8_t* block) noexcept {
    Words words;
    for (int i = 0; i < 4; ++i) words.quad[i] = vreinterpretq_u32_u8(swap_bytes(vld1q_u8(block + 16 * i)));
    return words;
}

// The outer block of HMAC never touches memory: the inner digest, the padding's bit,
// and the length of 96 bytes.
SIGIL_SHA_INLINE Words outer_block(State inner) noexcept {
    const uint32x4_t zero = vdupq_n_u32(0);
    return {{inner.abcd, inner.efgh, vsetq_lane_u32(0x80000000U, zero, 0), vsetq_lane_u32(96 * 8, zero, 3)}};
}

SIGIL_SHA_INLINE void store_digest(State state, std::uint8_t* digest) noexcept {
    vst1q_u8(digest, swap_bytes(vreinterpretq_u8_u32(state.abcd)));
    vst1q_u8(digest + 16, swap_bytes(vreinterpretq_u8_u32(state.efgh)));
}

// One block for each of kStreams streams. Every loop has a constant length and is
// unrolled; the streams take turns within each group of four rounds.
template <int kStreams>
SIGIL_SHA_INLINE void compress_block(State* state, Words* words) noexcept {
    State before[kStreams];
    for (int s = 0; s < kStreams; ++s) before[s] = state[s];
#pragma GCC unroll 16
    for (int group = 0; group < 16; ++group) {
        const uint32x4_t constants = vld1q_u32(kRoundConstants + 4 * group);
#pragma GCC unroll 2
        for (int s = 0; s < kStreams; ++s) {
            uint32x4_t* const quad = words[s].quad;
            const uint32x4_t input = vaddq_u32(quad[group & 3], constants);
            if (group < 12) {
                // The words 16 rounds on, in the place of those just used.
                quad[group & 3] = vsha256su1q_u32(vsha256su0q_u32(quad[group & 3], quad[(group + 1) & 3]),
                                                  quad[(group + 2) & 3], quad[(group + 3) & 3]);
            }
            const uint32x4_t abcd_now = state[s].abcd;
            state[s].abcd = vsha256hq_u32(state[s].abcd, state[s].efgh, input);
            state[s].efgh = vsha256h2q_u32(state[s].efgh, abcd_now, input);
        }
    }
    for (int s = 0; s < kStreams; ++s) {
        state[s].abcd = vaddq_u32(state[s].abcd, before[s].abcd);
        state[s].efgh = vaddq_u32(state[s].efgh, before[s].efgh);
    }
}

#include "sha256_streams.h"

bool usable() noexcept {
#if defined(__linux__)
    constexpr unsigned long kHwcapSha2 = 1UL << 6;  // HWCAP_SHA2 of the Linux ABI
    return (getauxval(AT_HWCAP) & kHwcapSha2) != 0;
#elif defined(__APPLE__)
    int value = 0;
    std::size_t size = sizeof value;
    return sysctlbyname("hw.optional.arm.FEAT_SHA256", &value, &size, nullptr, 0) == 0 && value != 0;
#else
    return false;
#endif
}

constexpr Sha256Kernel kKernel = {"armv8-sha2", usable, compress, hmac, hmac_two, nullptr, hash_two, nullptr};

}  // namespace

const Sha256Kernel* const kSha256Armv8 = &kKernel;

}  // namespace sigil

#else

const sigil::Sha256Kernel* const sigil::kSha256Armv8 = nullptr;

#endif
