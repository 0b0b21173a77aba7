// Sixteen HMACs at once with AVX-512, for batches: each 32-bit lane of the vectors is
// a message of its own (the multi-buffer idea of Gueron and Krasnov, "Simultaneous
// Hashing of Multiple Messages", 2012). ternarylogic does choice, majority and the
// sums' exclusive-ors in one instruction each, ror every rotation.
// About 850 to 900 cycles for sixteen blocks, 55 a block. Single messages, and the last
// lanes of an uneven batch, go through the SHA extensions.
#include "sha256_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

// GCC before 13 warns of its own placeholders in these headers (GCC bug 105593).
#if !defined(__clang__) && __GNUC__ < 13
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <cpuid.h>
#include <immintrin.h>

#define SIGIL_AVX512 __attribute__((target("avx512f,avx512bw")))
#define SIGIL_AVX512_INLINE SIGIL_AVX512 __attribute__((always_inline)) inline

namespace sigil {
namespace {

constexpr std::size_t kLanes = 16;
// With fewer lanes than this in use, the SHA extensions are quicker.
constexpr std::size_t kFewestLanes = 7;

SIGIL_AVX512_INLINE __m512i add(__m512i left, __m512i right) noexcept {
    return _mm512_add_epi32(left, right);
}

SIGIL_AVX512_INLINE __m512i xor_three(__m512i a, __m512i b, __m512i c) noexcept {
    return _mm512_ternarylogic_epi32(a, b, c, 0x96);
}

SIGIL_AVX512_INLINE __m512i swap_bytes(__m512i words) noexcept {
    return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0b,
                                                                            0x0405060700010203)));
}

// Transposes the 4 x 4 words within each quarter of four vectors.
SIGIL_AVX512_INLINE void transpose(__m512i* rows) noexcept {
    const __m512i a = _mm512_unpacklo_epi32(rows[0], rows[1]);
    const __m512i b = _mm512_unpackhi_epi32(rows[0], rows[1]);
    const __m512i c = _mm512_unpacklo_epi32(rows[2], rows[3]);
    const __m512i d = _mm512_unpackhi_epi32(rows[2], rows[3]);
    rows[0] = _mm512_unpacklo_epi64(a, c);
    rows[1] = _mm512_unpackhi_epi64(a, c);
    rows[2] = _mm512_unpacklo_epi64(b, d);
    rows[3] = _mm512_unpackhi_epi64(b, d);
}

SIGIL_AVX512_INLINE __m128i quad(const std::uint8_t* from) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// The next block of every lane: words[i] holds word i of all sixteen.
SIGIL_AVX512_INLINE void load_blocks(const std::uint8_t* const* blocks, std::size_t offset,
                                     __m512i* words) noexcept {
#pragma GCC unroll 4
    for (int group = 0; group < 4; ++group, offset += 16) {
        __m512i* const rows = words + 4 * group;
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
            // Quarter q of row i comes from lane 4q + i.
            __m512i row = _mm512_castsi128_si512(quad(blocks[i] + offset));
            row = _mm512_inserti32x4(row, quad(blocks[4 + i] + offset), 1);
            row = _mm512_inserti32x4(row, quad(blocks[8 + i] + offset), 2);
            row = _mm512_inserti32x4(row, quad(blocks[12 + i] + offset), 3);
            rows[i] = swap_bytes(row);
        }
        transpose(rows);
    }
}

// The schedule's next word, in the place of the one 16 rounds ago.
SIGIL_AVX512_INLINE void schedule(__m512i* words, int i) noexcept {
    const __m512i two = words[(i + 14) & 15];
    const __m512i fifteen = words[(i + 1) & 15];
    const __m512i large =
        xor_three(_mm512_ror_epi32(two, 17), _mm512_ror_epi32(two, 19), _mm512_srli_epi32(two, 10));
    const __m512i small =
        xor_three(_mm512_ror_epi32(fifteen, 7), _mm512_ror_epi32(fifteen, 18), _mm512_srli_epi32(fifteen, 3));
    words[i] = add(add(words[i], words[(i + 9) & 15]), add(small, large));
}

// Round i of eight; a to h are v[-i mod 8] onwards, so nothing is moved.
SIGIL_AVX512_INLINE void round(__m512i* v, int i, __m512i input) noexcept {
    const __m512i a = v[(8 - i) & 7], b = v[(9 - i) & 7], c = v[(10 - i) & 7];
    const __m512i e = v[(12 - i) & 7], f = v[(13 - i) & 7], g = v[(14 - i) & 7];
    __m512i& d = v[(11 - i) & 7];
    __m512i& h = v[(15 - i) & 7];
    const __m512i choice = _mm512_ternarylogic_epi32(e, f, g, 0xca);
    const __m512i majority = _mm512_ternarylogic_epi32(a, b, c, 0xe8);
    __m512i sum = add(add(h, input), choice);
    sum = add(sum, xor_three(_mm512_ror_epi32(e, 6), _mm512_ror_epi32(e, 11), _mm512_ror_epi32(e, 25)));
    d = add(d, sum);
    h = add(add(sum, majority),
            xor_three(_mm512_ror_epi32(a, 2), _mm512_ror_epi32(a, 13), _mm512_ror_epi32(a, 22)));
}

SIGIL_AVX512_INLINE __m512i constant(int t) noexcept {
    return _mm512_set1_epi32(static_cast<int>(kRoundConstants[t]));
}

// A block for each lane in `lanes`; the states of the others stay as they are.
SIGIL_AVX512_INLINE void compress_block(__m512i* state, __m512i* words, __mmask16 lanes) noexcept {
    __m512i v[8];
    for (int i = 0; i < 8; ++i) v[i] = state[i];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) round(v, i & 7, add(words[i], constant(i)));
#pragma GCC unroll 1
    for (int t = 16; t < 64; t += 16) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            schedule(words, i);
            round(v, i & 7, add(words[i], constant(t + i)));
        }
    }
    for (int i = 0; i < 8; ++i) state[i] = _mm512_mask_add_epi32(state[i], lanes, state[i], v[i]);
}

SIGIL_AVX512_INLINE void broadcast_state(const std::uint32_t* words, __m512i* state) noexcept {
    for (int i = 0; i < 8; ++i) state[i] = _mm512_set1_epi32(static_cast<int>(words[i]));
}

// Consecutive blocks of each lane in `lanes`. A function of its own: with nothing
// else about, the state, the working variables and the words fill the 32 registers.
SIGIL_AVX512 __attribute__((noinline)) void compress_run(__m512i* state, const std::uint8_t* const* blocks,
                                                         std::size_t count, __mmask16 lanes) noexcept {
    __m512i running[8];
    for (int i = 0; i < 8; ++i) running[i] = state[i];
    for (std::size_t offset = 0; count != 0; --count, offset += kBlockSize) {
        __m512i words[16];
        load_blocks(blocks, offset, words);
        compress_block(running, words, lanes);
    }
    for (int i = 0; i < 8; ++i) state[i] = running[i];
}

// The outer hash of all lanes, and their tags.
SIGIL_AVX512 __attribute__((noinline)) void finish(const HmacState& key, const __m512i* inner,
                                                   std::uint8_t* const* tags) noexcept {
    __m512i words[16];
    for (int i = 0; i < 8; ++i) words[i] = inner[i];
    words[8] = _mm512_set1_epi32(INT32_MIN);
    for (int i = 9; i < 15; ++i) words[i] = _mm512_setzero_si512();
    words[15] = _mm512_set1_epi32(96 * 8);
    __m512i state[8];
    broadcast_state(key.outer, state);
    compress_block(state, words, 0xffff);
    for (int half = 0; half < 2; ++half) {
        __m512i* const rows = state + 4 * half;
        transpose(rows);
        for (int i = 0; i < 4; ++i) {
            alignas(64) std::uint8_t quarters[4][16];
            _mm512_store_si512(quarters, swap_bytes(rows[i]));
            for (int q = 0; q < 4; ++q) {
                _mm_storeu_si128(reinterpret_cast<__m128i*>(tags[4 * q + i] + 16 * half),
                                 _mm_load_si128(reinterpret_cast<const __m128i*>(quarters[q])));
            }
        }
    }
}

// Hashes what is left of some lanes one after the other.
SIGIL_AVX512 void finish_lanes(__m512i* state, const PaddedMessage* const* messages, std::size_t first,
                               std::size_t from) noexcept {
    alignas(64) std::uint32_t words[8][kLanes];
    for (int i = 0; i < 8; ++i) _mm512_store_si512(words[i], state[i]);
    for (std::size_t lane = first; lane < kLanes; ++lane) {
        const PaddedMessage& message = *messages[lane];
        std::uint32_t own[8];
        for (int i = 0; i < 8; ++i) own[i] = words[i][lane];
        std::size_t next = from;
        if (next < message.whole) {
            kSha256ShaNi->compress(own, message.block(next), message.whole - next);
            next = message.whole;
        }
        kSha256ShaNi->compress(own, message.block(next), message.total - next);
        for (int i = 0; i < 8; ++i) words[i][lane] = own[i];
    }
    for (int i = 0; i < 8; ++i) state[i] = _mm512_load_si512(words[i]);
}

// The messages ascend by their number of blocks. Those present take the last lanes,
// so that lanes fall idle from the front.
SIGIL_AVX512 void hmac_sixteen(const HmacState& key, const PaddedMessage* messages,
                               std::uint8_t* const* tags, std::size_t count) noexcept {
    std::uint8_t unwanted[kDigestSize];
    const PaddedMessage* lane_messages[kLanes];
    std::uint8_t* lane_tags[kLanes];
    const std::size_t idle = kLanes - count;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
        lane_messages[lane] = lane < idle ? nullptr : messages + (lane - idle);
        lane_tags[lane] = lane < idle ? unwanted : tags[lane - idle];
    }
    __m512i state[8];
    broadcast_state(key.inner, state);
    std::size_t first = idle;
    std::size_t done = 0;
    while (kLanes - first >= kFewestLanes) {
        // Up to the next place where a lane ends or goes over to its tail.
        std::size_t until = SIZE_MAX;
        const std::uint8_t* blocks[kLanes];
        for (std::size_t lane = first; lane < kLanes; ++lane) {
            const PaddedMessage& message = *lane_messages[lane];
            const std::size_t change = done < message.whole ? message.whole : message.total;
            if (change < until) until = change;
            blocks[lane] = message.block(done);
        }
        // An idle lane reads what another one reads.
        for (std::size_t lane = 0; lane < first; ++lane) blocks[lane] = blocks[first];
        compress_run(state, blocks, until - done, static_cast<__mmask16>(0xffffU << first));
        done = until;
        while (first < kLanes && lane_messages[first]->total <= done) ++first;
    }
    if (first < kLanes) finish_lanes(state, lane_messages, first, done);
    finish(key, state, lane_tags);
}

// XCR0: whether the system saves SSE, AVX, and all parts of the AVX-512 state.
bool system_saves_state() noexcept {
    constexpr unsigned kNeeded = 0xe6;
    unsigned low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & kNeeded) == kNeeded;
}

bool usable() noexcept {
    constexpr unsigned kOsxsave = 1U << 27;
    constexpr unsigned kAvx512f = 1U << 16;
    constexpr unsigned kAvx512bw = 1U << 30;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!kSha256ShaNi->usable()) return false;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kOsxsave) == 0) return false;
    if (!system_saves_state()) return false;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
    return (ebx & kAvx512f) != 0 && (ebx & kAvx512bw) != 0;
}

// kSha256ShaNi is a constant, initialised before anything that is computed at start.
const Sha256Kernel kKernel = {
    "avx-512", usable, kSha256ShaNi->compress, kSha256ShaNi->hmac, kSha256ShaNi->hmac_two, hmac_sixteen,
};

}  // namespace

const Sha256Kernel* const kSha256Avx512 = &kKernel;

}  // namespace sigil

#else

const sigil::Sha256Kernel* const sigil::kSha256Avx512 = nullptr;

#endif
