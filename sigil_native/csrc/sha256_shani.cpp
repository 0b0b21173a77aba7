// SHA-256 with the SHA extensions of x86-64, one stream or two interleaved.
// The idea, and why the state is held as ABEF and CDGH, is Intel's (Gulley,
// Gopal and others, "Intel SHA Extensions", 2013): sha256rnds2 does two rounds,
// sha256msg1/msg2 the message schedule, four words at a time.
// A block is a chain of 32 sha256rnds2 of 4 cycles, so 128 cycles is the least; the unit
// takes a new one every other cycle, so a second, independent stream is nearly free,
// and 64 cycles a block is the least of any number of streams. Measured: 129 cycles a
// block alone and 70 in a pair on Zen 3, about 140 and 85 on Ice Lake. A third stream
// would run out of the 16 registers.
#include "sha256_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>
#include <immintrin.h>

#define SIGIL_SHA __attribute__((target("sha,sse4.1")))
#define SIGIL_SHA_INLINE SIGIL_SHA __attribute__((always_inline)) inline

namespace sigil {
namespace {

struct State {
    __m128i abef;
    __m128i cdgh;
};

struct Words {
    __m128i quad[4];
};

SIGIL_SHA_INLINE __m128i load(const void* from) noexcept {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

SIGIL_SHA_INLINE void store(void* to, __m128i value) noexcept {
    _mm_storeu_si128(static_cast<__m128i*>(to), value);
}

// Big-endian words to host order and back.
SIGIL_SHA_INLINE __m128i swap_bytes(__m128i words) noexcept {
    return _mm_shuffle_epi8(words, _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
}

SIGIL_SHA_INLINE State load_state(const std::uint32_t* words) noexcept {
    const __m128i badc = _mm_shuffle_epi32(load(words), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(load(words + 4), 0x1b);
    return {_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
}

// The state as words A to D and E to H.
SIGIL_SHA_INLINE void unpack(State state, __m128i& abcd, __m128i& efgh) noexcept {
    const __m128i feba = _mm_shuffle_epi32(state.abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(state.cdgh, 0xb1);
    abcd = _mm_blend_epi16(feba, dchg, 0xf0);
    efgh = _mm_alignr_epi8(dchg, feba, 8);
}

SIGIL_SHA_INLINE void store_state(std::uint32_t* words, State state) noexcept {
    __m128i abcd;
    __m128i efgh;
    unpack(state, abcd, efgh);
    store(words, abcd);
    store(words + 4, efgh);
}

SIGIL_SHA_INLINE Words load_block(const std::uint8_t* block) noexcept {
    return {{swap_bytes(load(block)), swap_bytes(load(block + 16)), swap_bytes(load(block + 32)),
             swap_bytes(load(block + 48))}};
}

// The outer block of HMAC never touches memory: the inner digest, the padding's
// bit, and the length of 96 bytes.
SIGIL_SHA_INLINE Words outer_block(State inner) noexcept {
    Words words;
    unpack(inner, words.quad[0], words.quad[1]);
    words.quad[2] = _mm_set_epi32(0, 0, 0, INT32_MIN);
    words.quad[3] = _mm_set_epi32(96 * 8, 0, 0, 0);
    return words;
}

SIGIL_SHA_INLINE void store_digest(State state, std::uint8_t* digest) noexcept {
    __m128i abcd;
    __m128i efgh;
    unpack(state, abcd, efgh);
    store(digest, swap_bytes(abcd));
    store(digest + 16, swap_bytes(efgh));
}

// One block for each of kStreams streams. Every loop has a constant length and is
// unrolled; the streams take turns within each group of four rounds.
template <int kStreams>
SIGIL_SHA_INLINE void compress_block(State* state, Words* words) noexcept {
    State before[kStreams];
    for (int s = 0; s < kStreams; ++s) before[s] = state[s];
#pragma GCC unroll 16
    for (int group = 0; group < 16; ++group) {
        const __m128i constants = load(kRoundConstants + 4 * group);
#pragma GCC unroll 2
        for (int s = 0; s < kStreams; ++s) {
            __m128i* const quad = words[s].quad;
            const __m128i now = quad[group & 3];
            const __m128i input = _mm_add_epi32(now, constants);
            state[s].cdgh = _mm_sha256rnds2_epu32(state[s].cdgh, state[s].abef, input);
            state[s].abef =
                _mm_sha256rnds2_epu32(state[s].abef, state[s].cdgh, _mm_shuffle_epi32(input, 0x0e));
            if (group >= 3 && group < 15) {
                const __m128i seven_ago = _mm_alignr_epi8(now, quad[(group - 1) & 3], 4);
                __m128i& next = quad[(group + 1) & 3];
                next = _mm_sha256msg2_epu32(_mm_add_epi32(next, seven_ago), now);
            }
            if (group >= 1 && group < 13) {
                quad[(group - 1) & 3] = _mm_sha256msg1_epu32(quad[(group - 1) & 3], now);
            }
        }
    }
    for (int s = 0; s < kStreams; ++s) {
        state[s].abef = _mm_add_epi32(state[s].abef, before[s].abef);
        state[s].cdgh = _mm_add_epi32(state[s].cdgh, before[s].cdgh);
    }
}

#include "sha256_streams.h"

// SSE state is saved by every x86-64 system, so cpuid alone decides.
bool usable() noexcept {
    constexpr unsigned kSsse3 = 1U << 9;
    constexpr unsigned kSse41 = 1U << 19;
    constexpr unsigned kSha = 1U << 29;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return false;
    if ((ecx & kSsse3) == 0 || (ecx & kSse41) == 0) return false;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
    return (ebx & kSha) != 0;
}

constexpr Sha256Kernel kKernel = {"sha-ni", usable, compress, hmac, hmac_two, nullptr, hash_two, nullptr};

}  // namespace

const Sha256Kernel* const kSha256ShaNi = &kKernel;

}  // namespace sigil

#else

const sigil::Sha256Kernel* const sigil::kSha256ShaNi = nullptr;

#endif
