// Stands in for the compiler's <immintrin.h> where the processor lacks AVX-512: SIMDe's
// functions under the names of the instructions, and those few that its version lacks or has wrong.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/avx512.h>
#include <simde/x86/clmul.h>

#include <cstdint>
#include <cstring>

using __mmask8 = std::uint8_t;
using __mmask16 = std::uint16_t;

namespace emulated {

inline __m512i compress_bytes(std::uint64_t keep, __m512i from) noexcept {
    std::uint8_t bytes[64], packed[64] = {};
    std::memcpy(bytes, &from, sizeof bytes);
    int count = 0;
    for (int i = 0; i < 64; ++i) {
        if ((keep >> i & 1) != 0) packed[count++] = bytes[i];
    }
    std::memcpy(&from, packed, sizeof packed);
    return from;
}

inline __m512i widen_bytes(__m128i from) noexcept {
    std::uint8_t bytes[16];
    std::uint32_t words[16];
    std::memcpy(bytes, &from, sizeof bytes);
    for (int i = 0; i < 16; ++i) words[i] = bytes[i];
    __m512i wide;
    std::memcpy(&wide, words, sizeof words);
    return wide;
}

template <class Compare>
std::uint32_t compare_bytes(__m256i left, __m256i right, Compare compare) noexcept {
    std::uint8_t a[32], b[32];
    std::memcpy(a, &left, sizeof a);
    std::memcpy(b, &right, sizeof b);
    std::uint32_t mask = 0;
    for (int i = 0; i < 32; ++i) mask |= static_cast<std::uint32_t>(compare(a[i], b[i])) << i;
    return mask;
}

inline std::uint32_t below(__m256i left, __m256i right) noexcept {
    return compare_bytes(left, right, [](std::uint8_t a, std::uint8_t b) { return a < b; });
}

inline std::uint32_t equal(__m256i left, __m256i right) noexcept {
    return compare_bytes(left, right, [](std::uint8_t a, std::uint8_t b) { return a == b; });
}

inline std::uint64_t extract_bits(std::uint64_t from, std::uint64_t mask) noexcept {
    std::uint64_t packed = 0;
    for (int i = 0, count = 0; i < 64; ++i) {
        if ((mask >> i & 1) != 0) packed |= (from >> i & 1) << count++;
    }
    return packed;
}

// SIMDe 0.7.4 is content with one word without a common bit.
inline int has_no_common_bit(__m256i left, __m256i right) noexcept {
    std::uint64_t a[4], b[4], common = 0;
    std::memcpy(a, &left, sizeof a);
    std::memcpy(b, &right, sizeof b);
    for (int i = 0; i < 4; ++i) common |= a[i] & b[i];
    return common == 0;
}

}  // namespace emulated

#define _mm512_maskz_compress_epi8 emulated::compress_bytes
#define _mm512_cvtepu8_epi32 emulated::widen_bytes
#define _mm256_cmplt_epu8_mask emulated::below
#define _mm256_cmpeq_epi8_mask emulated::equal
#define _pext_u64 emulated::extract_bits
#undef _mm256_testz_si256
#define _mm256_testz_si256 emulated::has_no_common_bit
