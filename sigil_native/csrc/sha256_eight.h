// Eight lanes: the instructions of AVX-512 on registers of 256 bits (AVX-512VL), for
// groups that have no more messages, or no more left.
// About 660 to 720 cycles for eight blocks, 83 to 90 a block, by LLVM's model of Ice Lake;
// not measured. Why not half of what sixteen lanes take: a third port opens up, but
// 1,700 vector instructions on three ports are 570 cycles, and the chain from one round's
// e to the next's, rotation, exclusive-or and two additions, leaves some of them empty.
// That is what four pairs take on the SHA extensions: with six messages the pairs win,
// with eight the lanes, which also stay in the form that the outer hash wants.
#pragma once

#include "sha256_lanes.h"

namespace sigil {
namespace {

struct Eight {
    using Vector = __m256i;
    using Mask = __mmask8;
    static constexpr std::size_t kLanes = 8;

    static SIGIL_AVX512_INLINE Vector add(Vector left, Vector right) noexcept { return _mm256_add_epi32(left, right); }
    static SIGIL_AVX512_INLINE Vector add_in(Mask lanes, Vector left, Vector right) noexcept {
        return _mm256_mask_add_epi32(left, lanes, left, right);
    }
    static SIGIL_AVX512_INLINE Vector every(int word) noexcept { return _mm256_set1_epi32(word); }
    static SIGIL_AVX512_INLINE Vector xor_three(Vector a, Vector b, Vector c) noexcept {
        return _mm256_ternarylogic_epi32(a, b, c, 0x96);
    }
    static SIGIL_AVX512_INLINE Vector choice(Vector e, Vector f, Vector g) noexcept {
        return _mm256_ternarylogic_epi32(e, f, g, 0xca);
    }
    static SIGIL_AVX512_INLINE Vector majority(Vector a, Vector b, Vector c) noexcept {
        return _mm256_ternarylogic_epi32(a, b, c, 0xe8);
    }
    template <int kBy>
    static SIGIL_AVX512_INLINE Vector rotate(Vector words) noexcept {
        return _mm256_ror_epi32(words, kBy);
    }
    template <int kBy>
    static SIGIL_AVX512_INLINE Vector shift(Vector words) noexcept {
        return _mm256_srli_epi32(words, kBy);
    }
    static SIGIL_AVX512_INLINE Vector low_words(Vector a, Vector b) noexcept { return _mm256_unpacklo_epi32(a, b); }
    static SIGIL_AVX512_INLINE Vector high_words(Vector a, Vector b) noexcept { return _mm256_unpackhi_epi32(a, b); }
    static SIGIL_AVX512_INLINE Vector low_pairs(Vector a, Vector b) noexcept { return _mm256_unpacklo_epi64(a, b); }
    static SIGIL_AVX512_INLINE Vector high_pairs(Vector a, Vector b) noexcept { return _mm256_unpackhi_epi64(a, b); }
    static SIGIL_AVX512_INLINE Vector swap_bytes(Vector words) noexcept {
        const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
        return _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(order));
    }
    // 16 bytes of every fourth block, from the first.
    static SIGIL_AVX512_INLINE Vector quarters(const std::uint8_t* const* blocks, std::size_t offset) noexcept {
        return _mm256_inserti128_si256(_mm256_castsi128_si256(quad(blocks[0] + offset)), quad(blocks[4] + offset), 1);
    }
    static SIGIL_AVX512_INLINE void store(void* to, Vector words) noexcept {
        _mm256_store_si256(static_cast<__m256i*>(to), words);
    }

  private:
    static SIGIL_AVX512_INLINE __m128i quad(const std::uint8_t* from) noexcept {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    }
};

}  // namespace
}  // namespace sigil
