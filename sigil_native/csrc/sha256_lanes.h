// SHA-256 of many messages side by side: each 32-bit lane of the vectors is a message
// of its own, all of them at the same round (the multi-buffer idea of Gueron and
// Krasnov, "Simultaneous Hashing of Multiple Messages", 2012). Written once for every
// width: a Width says what a vector is and how it rotates, picks and transposes.
#pragma once

#include <cstdint>

#include "sha256_kernel.h"

// Tests compile these kernels for processors that lack the instructions: then each is
// a function of the test's <immintrin.h>, and the compiler must not emit the real one.
#if defined(SIGIL_EMULATED)
#define SIGIL_AVX512
#else
#define SIGIL_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#endif
#define SIGIL_AVX512_INLINE SIGIL_AVX512 __attribute__((always_inline)) inline

namespace sigil {
namespace {

// Transposes the 4 x 4 words within each quarter of four vectors: 128 bits of each.
template <class Width>
SIGIL_AVX512_INLINE void transpose(typename Width::Vector* rows) noexcept {
    const auto a = Width::low_words(rows[0], rows[1]);
    const auto b = Width::high_words(rows[0], rows[1]);
    const auto c = Width::low_words(rows[2], rows[3]);
    const auto d = Width::high_words(rows[2], rows[3]);
    rows[0] = Width::low_pairs(a, c);
    rows[1] = Width::high_pairs(a, c);
    rows[2] = Width::low_pairs(b, d);
    rows[3] = Width::high_pairs(b, d);
}

// The next block of every lane: words[i] holds word i of all lanes.
template <class Width>
SIGIL_AVX512_INLINE void load_blocks(const std::uint8_t* const* blocks, std::size_t offset,
                                     typename Width::Vector* words) noexcept {
#pragma GCC unroll 4
    for (int group = 0; group < 4; ++group, offset += 16) {
        typename Width::Vector* const rows = words + 4 * group;
        // Quarter q of row i comes from lane 4q + i.
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) rows[i] = Width::swap_bytes(Width::quarters(blocks + i, offset));
        transpose<Width>(rows);
    }
}

// The schedule's next word, in the place of the one 16 rounds ago.
template <class Width>
SIGIL_AVX512_INLINE void schedule(typename Width::Vector* words, int i) noexcept {
    const auto two = words[(i + 14) & 15];
    const auto fifteen = words[(i + 1) & 15];
    const auto large = Width::xor_three(Width::template rotate<17>(two), Width::template rotate<19>(two),
                                        Width::template shift<10>(two));
    const auto small = Width::xor_three(Width::template rotate<7>(fifteen), Width::template rotate<18>(fifteen),
                                        Width::template shift<3>(fifteen));
    words[i] = Width::add(Width::add(words[i], words[(i + 9) & 15]), Width::add(small, large));
}

// Round i of eight; a to h are v[-i mod 8] onwards, so nothing is moved.
template <class Width>
SIGIL_AVX512_INLINE void round(typename Width::Vector* v, int i, typename Width::Vector input) noexcept {
    const auto a = v[(8 - i) & 7], b = v[(9 - i) & 7], c = v[(10 - i) & 7];
    const auto e = v[(12 - i) & 7], f = v[(13 - i) & 7], g = v[(14 - i) & 7];
    auto& d = v[(11 - i) & 7];
    auto& h = v[(15 - i) & 7];
    auto sum = Width::add(Width::add(h, input), Width::choice(e, f, g));
    sum = Width::add(sum, Width::xor_three(Width::template rotate<6>(e), Width::template rotate<11>(e),
                                           Width::template rotate<25>(e)));
    d = Width::add(d, sum);
    h = Width::add(Width::add(sum, Width::majority(a, b, c)),
                   Width::xor_three(Width::template rotate<2>(a), Width::template rotate<13>(a),
                                    Width::template rotate<22>(a)));
}

template <class Width>
SIGIL_AVX512_INLINE typename Width::Vector constant(int t) noexcept {
    return Width::every(static_cast<int>(kRoundConstants[t]));
}

// A block for each lane in `lanes`; the states of the others stay as they are.
template <class Width>
SIGIL_AVX512_INLINE void compress_block(typename Width::Vector* state, typename Width::Vector* words,
                                        typename Width::Mask lanes) noexcept {
    typename Width::Vector v[8];
    for (int i = 0; i < 8; ++i) v[i] = state[i];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) round<Width>(v, i & 7, Width::add(words[i], constant<Width>(i)));
#pragma GCC unroll 1
    for (int t = 16; t < 64; t += 16) {
#pragma GCC unroll 16
        for (int i = 0; i < 16; ++i) {
            schedule<Width>(words, i);
            round<Width>(v, i & 7, Width::add(words[i], constant<Width>(t + i)));
        }
    }
    for (int i = 0; i < 8; ++i) state[i] = Width::add_in(lanes, state[i], v[i]);
}

template <class Width>
SIGIL_AVX512_INLINE void broadcast_state(const std::uint32_t* words, typename Width::Vector* state) noexcept {
    for (int i = 0; i < 8; ++i) state[i] = Width::every(static_cast<int>(words[i]));
}

// Consecutive blocks of each lane in `lanes`. A function of its own: with nothing
// else about, the state, the working variables and the words fill the 32 registers.
template <class Width>
SIGIL_AVX512 __attribute__((noinline)) void compress_run(typename Width::Vector* state,
                                                         const std::uint8_t* const* blocks, std::size_t count,
                                                         typename Width::Mask lanes) noexcept {
    typename Width::Vector running[8];
    for (int i = 0; i < 8; ++i) running[i] = state[i];
    for (std::size_t offset = 0; count != 0; --count, offset += kBlockSize) {
        typename Width::Vector words[16];
        load_blocks<Width>(blocks, offset, words);
        compress_block<Width>(running, words, lanes);
    }
    for (int i = 0; i < 8; ++i) state[i] = running[i];
}

// The messages of a group, a lane for each, ascending by their number of blocks: lanes
// fall idle from the front. `first` is the first that is not, `done` the blocks hashed.
struct Lanes {
    const PaddedMessage* const* messages;
    std::size_t first;
    std::size_t done;
};

// Hashes on until fewer than `fewest` lanes are left.
template <class Width>
SIGIL_AVX512 void run_lanes(typename Width::Vector* state, Lanes& lanes, std::size_t fewest) noexcept {
    while (Width::kLanes - lanes.first >= fewest) {
        // Up to the next place where a lane ends or goes over to its tail.
        std::size_t until = SIZE_MAX;
        const std::uint8_t* blocks[Width::kLanes];
        for (std::size_t lane = lanes.first; lane < Width::kLanes; ++lane) {
            const PaddedMessage& message = *lanes.messages[lane];
            const std::size_t change = lanes.done < message.whole ? message.whole : message.total;
            if (change < until) until = change;
            blocks[lane] = message.block(lanes.done);
        }
        // An idle lane reads what another one reads.
        for (std::size_t lane = 0; lane < lanes.first; ++lane) blocks[lane] = blocks[lanes.first];
        compress_run<Width>(state, blocks, until - lanes.done,
                            static_cast<typename Width::Mask>(~std::uint32_t{0} << lanes.first));
        lanes.done = until;
        while (lanes.first < Width::kLanes && lanes.messages[lanes.first]->total <= lanes.done) ++lanes.first;
    }
}

// The outer hash of HMAC over the inner one, of all lanes.
template <class Width>
SIGIL_AVX512 __attribute__((noinline)) void hash_outer(const std::uint32_t* outer,
                                                       typename Width::Vector* state) noexcept {
    typename Width::Vector words[16];
    for (int i = 0; i < 8; ++i) words[i] = state[i];
    words[8] = Width::every(INT32_MIN);
    for (int i = 9; i < 15; ++i) words[i] = Width::every(0);
    words[15] = Width::every(96 * 8);
    broadcast_state<Width>(outer, state);
    compress_block<Width>(state, words, static_cast<typename Width::Mask>(~std::uint32_t{0}));
}

// The states of all lanes as digests.
template <class Width>
SIGIL_AVX512 __attribute__((noinline)) void store_digests(typename Width::Vector* state,
                                                          std::uint8_t* const* digests) noexcept {
    for (int half = 0; half < 2; ++half) {
        typename Width::Vector* const rows = state + 4 * half;
        transpose<Width>(rows);
        for (std::size_t i = 0; i < 4; ++i) {
            alignas(64) std::uint8_t quarters[Width::kLanes / 4][16];
            Width::store(quarters, Width::swap_bytes(rows[i]));
            for (std::size_t q = 0; q < Width::kLanes / 4; ++q) {
                _mm_storeu_si128(reinterpret_cast<__m128i*>(digests[4 * q + i] + 16 * half),
                                 _mm_load_si128(reinterpret_cast<const __m128i*>(quarters[q])));
            }
        }
    }
}

}  // namespace
}  // namespace sigil
