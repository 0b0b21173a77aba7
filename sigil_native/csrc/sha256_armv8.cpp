// SHA-256 with the ARMv8 Cryptographic Extension (Arm ARM, SHA256H, SHA256H2,
// SHA256SU0, SHA256SU1): four rounds take two instructions, four words of the
// message schedule two more. The state stays as ABCD and EFGH.
// About 110 to 140 cycles a block by the published latencies of current cores.
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
#define SIGIL_SHA2 __attribute__((target("sha2")))
#else
#define SIGIL_SHA2 __attribute__((target("+crypto")))
#endif

namespace sigil {
namespace {

SIGIL_SHA2 void compress(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) noexcept {
    uint32x4_t abcd = vld1q_u32(state);
    uint32x4_t efgh = vld1q_u32(state + 4);
    for (; count != 0; --count, blocks += kBlockSize) {
        uint32x4_t quad[4];
        for (int i = 0; i < 4; ++i) {
            quad[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(blocks + 16 * i)));
        }
        const uint32x4_t abcd_before = abcd;
        const uint32x4_t efgh_before = efgh;
#pragma GCC unroll 16
        for (int group = 0; group < 16; ++group) {
            const uint32x4_t input = vaddq_u32(quad[group & 3], vld1q_u32(kRoundConstants + 4 * group));
            if (group < 12) {
                // The words 16 rounds on, in the place of those just used.
                quad[group & 3] = vsha256su1q_u32(vsha256su0q_u32(quad[group & 3], quad[(group + 1) & 3]),
                                                  quad[(group + 2) & 3], quad[(group + 3) & 3]);
            }
            const uint32x4_t abcd_now = abcd;
            abcd = vsha256hq_u32(abcd, efgh, input);
            efgh = vsha256h2q_u32(efgh, abcd_now, input);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}

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

constexpr Sha256Kernel kKernel = {"armv8-sha2", usable, compress, nullptr, nullptr, nullptr};

}  // namespace

const Sha256Kernel* const kSha256Armv8 = &kKernel;

}  // namespace sigil

#else

const sigil::Sha256Kernel* const sigil::kSha256Armv8 = nullptr;

#endif
