// Sixteen lanes: a vector is one of the 32 registers of 512 bits of AVX-512.
// ternarylogic does choice, majority and the sums' exclusive-ors in one instruction
// each, ror every rotation.
// About 850 to 900 cycles for sixteen blocks, 55 a block (measured on Ice Lake; LLVM's
// model of that processor says 854). Why not fewer: a block has 10 rotations and 2 shifts
// for each of 48 rounds and 6 rotations for each of 16, 672 instructions that only one of
// the two ports of 512 bits takes; with the transposition it is busy in 9 of 10 cycles.
#pragma once

#include "sha256_lanes.h"

namespace sigil {
namespace {

struct Sixteen {
    using Vector = __m512i;
    using Mask = __mmask16;
    static constexpr std::size_t kLanes = 16;

    static SIGIL_AVX512_INLINE Vector add(Vector left, Vector right) noexcept { return _mm512_add_epi32(left, right); }
    static SIGIL_AVX512_INLINE Vector add_in(Mask lanes, Vector left, Vector right) noexcept {
        return _mm512_mask_add_epi32(left, lanes, left, right);
    }
    static SIGIL_AVX512_INLINE Vector every(int word) noexcept { return _mm512_set1_epi32(word); }
    static SIGIL_AVX512_INLINE Vector xor_three(Vector a, Vector b, Vector c) noexcept {
        return _mm512_ternarylogic_epi32(a, b, c, 0x96);
    }
    static SIGIL_AVX512_INLINE Vector choice(Vector e, Vector f, Vector g) noexcept {
        return _mm512_ternarylogic_epi32(e, f, g, 0xca);
    }
    static SIGIL_AVX512_INLINE Vector majority(Vector a, Vector b, Vector c) noexcept {
        return _mm512_ternarylogic_epi32(a, b, c, 0xe8);
    }
    template <int kBy>
    static SIGIL_AVX512_INLINE Vector rotate(Vector words) noexcept {
        return _mm512_ror_epi32(words, kBy);
    }
    template <int kBy>
    static SIGIL_AVX512_INLINE Vector shift(Vector words) noexcept {
        return _mm512_srli_epi32(words, kBy);
    }
    static SIGIL_AVX512_INLINE Vector low_words(Vector a, Vector b) noexcept { return _mm512_unpacklo_epi32(a, b); }
    static SIGIL_AVX512_INLINE Vector high_words(Vector a, Vector b) noexcept { return _mm512_unpackhi_epi32(a, b); }
    static SIGIL_AVX512_INLINE Vector low_pairs(Vector a, Vector b) noexcept { return _mm512_unpacklo_epi64(a, b); }
    static SIGIL_AVX512_INLINE Vector high_pairs(Vector a, Vector b) noexcept { return _mm512_unpackhi_epi64(a, b); }
    static SIGIL_AVX512_INLINE Vector swap_bytes(Vector words) noexcept {
        const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
        return _mm512_shuffle_epi8(words, _mm512_broadcast_i32x4(order));
    }
    // 16 bytes of every fourth block, from the first.
    static SIGIL_AVX512_INLINE Vector quarters(const std::uint8_t* const* blocks, std::size_t offset) noexcept {
        Vector row = _mm512_castsi128_si512(quad(blocks[0] + offset));
        row = _mm512_inserti32x4(row, quad(blocks[4] + offset), 1);
        row = _mm512_inserti32x4(row, quad(blocks[8] + offset), 2);
        return _mm512_inserti32x4(row, quad(blocks[12] + offset), 3);
    }
    static SIGIL_AVX512_INLINE void store(void* to, Vector words) noexcept { _mm512_store_si512(to, words); }

  private:
    static SIGIL_AVX512_INLINE __m128i quad(const std::uint8_t* from) noexcept {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    }
};

}  // namespace
}  // namespace sigil
