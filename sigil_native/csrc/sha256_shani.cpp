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

#define SIGIL_SHANI __attribute__((target("sha,sse4.1")))
#define SIGIL_SHANI_INLINE SIGIL_SHANI __attribute__((always_inline)) inline

namespace sigil {
namespace {

struct State {
    __m128i abef;
    __m128i cdgh;
};

struct Words {
    __m128i quad[4];
};

SIGIL_SHANI_INLINE __m128i load(const void* from) noexcept {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

SIGIL_SHANI_INLINE void store(void* to, __m128i value) noexcept {
    _mm_storeu_si128(static_cast<__m128i*>(to), value);
}

// Big-endian words to host order and back.
SIGIL_SHANI_INLINE __m128i swap_bytes(__m128i words) noexcept {
    return _mm_shuffle_epi8(words, _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203));
}

SIGIL_SHANI_INLINE State load_state(const std::uint32_t* words) noexcept {
    const __m128i badc = _mm_shuffle_epi32(load(words), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(load(words + 4), 0x1b);
    return {_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
}

// The state as words A to D and E to H.
SIGIL_SHANI_INLINE void unpack(State state, __m128i& abcd, __m128i& efgh) noexcept {
    const __m128i feba = _mm_shuffle_epi32(state.abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(state.cdgh, 0xb1);
    abcd = _mm_blend_epi16(feba, dchg, 0xf0);
    efgh = _mm_alignr_epi8(dchg, feba, 8);
}

SIGIL_SHANI_INLINE void store_state(std::uint32_t* words, State state) noexcept {
    __m128i abcd;
    __m128i efgh;
    unpack(state, abcd, efgh);
    store(words, abcd);
    store(words + 4, efgh);
}

SIGIL_SHANI_INLINE Words load_block(const std::uint8_t* block) noexcept {
    return {{swap_bytes(load(block)), swap_bytes(load(block + 16)), swap_bytes(load(block + 32)),
             swap_bytes(load(block + 48))}};
}

// The outer block of HMAC never touches memory: the inner digest, the padding's
// bit, and the length of 96 bytes.
SIGIL_SHANI_INLINE Words outer_block(State inner) noexcept {
    Words words;
    unpack(inner, words.quad[0], words.quad[1]);
    words.quad[2] = _mm_set_epi32(0, 0, 0, INT32_MIN);
    words.quad[3] = _mm_set_epi32(96 * 8, 0, 0, 0);
    return words;
}

SIGIL_SHANI_INLINE void store_digest(State state, std::uint8_t* digest) noexcept {
    __m128i abcd;
    __m128i efgh;
    unpack(state, abcd, efgh);
    store(digest, swap_bytes(abcd));
    store(digest + 16, swap_bytes(efgh));
}

// One block for each of kStreams streams. Every loop has a constant length and is
// unrolled; the streams take turns within each group of four rounds.
template <int kStreams>
SIGIL_SHANI_INLINE void compress_block(State* state, Words* words) noexcept {
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

SIGIL_SHANI void compress(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) noexcept {
    State running = load_state(state);
    for (; count != 0; --count, blocks += kBlockSize) {
        Words words = load_block(blocks);
        compress_block<1>(&running, &words);
    }
    store_state(state, running);
}

SIGIL_SHANI void hmac(const HmacState& key, const PaddedMessage& message, std::uint8_t* tag) noexcept {
    State state = load_state(key.inner);
    for (std::size_t i = 0; i < message.total; ++i) {
        Words words = load_block(message.block(i));
        compress_block<1>(&state, &words);
    }
    Words words = outer_block(state);
    state = load_state(key.outer);
    compress_block<1>(&state, &words);
    store_digest(state, tag);
}

// What is left of two messages: side by side as far as both go, then the longer one alone.
SIGIL_SHANI_INLINE void run_two(State* state, const PaddedMessage& first, const PaddedMessage& second,
                                std::size_t from) noexcept {
    const PaddedMessage* const messages[2] = {&first, &second};
    Words words[2];
    const std::size_t common = first.total < second.total ? first.total : second.total;
    std::size_t i = from;
    for (; i < common; ++i) {
        words[0] = load_block(first.block(i));
        words[1] = load_block(second.block(i));
        compress_block<2>(state, words);
    }
    const int longer = first.total < second.total ? 1 : 0;
    State rest = state[longer];
    for (; i < messages[longer]->total; ++i) {
        words[0] = load_block(messages[longer]->block(i));
        compress_block<1>(&rest, words);
    }
    state[longer] = rest;
}

SIGIL_SHANI void hash_two(std::uint32_t* first_state, std::uint32_t* second_state, const PaddedMessage& first,
                          const PaddedMessage& second, std::size_t from) noexcept {
    State state[2] = {load_state(first_state), load_state(second_state)};
    run_two(state, first, second, from);
    store_state(first_state, state[0]);
    store_state(second_state, state[1]);
}

SIGIL_SHANI void hmac_two(const HmacState& key, const PaddedMessage& first, const PaddedMessage& second,
                          std::uint8_t* first_tag, std::uint8_t* second_tag) noexcept {
    State state[2] = {load_state(key.inner), load_state(key.inner)};
    run_two(state, first, second, 0);
    Words words[2] = {outer_block(state[0]), outer_block(state[1])};
    state[0] = state[1] = load_state(key.outer);
    compress_block<2>(state, words);
    store_digest(state[0], first_tag);
    store_digest(state[1], second_tag);
}

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
