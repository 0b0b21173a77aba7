// Sorting a few numbers by counting, for each, how many lie below it. No branch
// depends on the numbers, so unforeseen orders cost no more than foreseen ones.
#pragma once

#include <cstddef>
#include <cstdint>

#include "forced_level.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define SIGIL_RANK_AVX2 1
#endif

namespace sigil {

// Most numbers that rank() takes, and how many beyond the last it may read.
constexpr std::size_t kMostRanked = 16;
constexpr std::size_t kRankSlack = 3;

namespace detail {

inline void count_below(const std::uint64_t* numbers, std::size_t count, std::uint64_t* places) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        std::uint64_t place = 0;
        for (std::size_t j = 0; j < count; ++j) place += numbers[j] < numbers[i] ? 1u : 0u;
        places[i] = place;
    }
}

#ifdef SIGIL_RANK_AVX2
inline const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0 && level_has_avx2();

template <std::size_t kVectors>
__attribute__((target("avx2"))) void count_below_avx2(const std::uint64_t* numbers, std::size_t count,
                                                      std::uint64_t* places) noexcept {
    // AVX2 compares signed numbers only: turn the sign bits over.
    const __m256i sign = _mm256_set1_epi64x(INT64_MIN);
    __m256i own[kVectors];
    __m256i below[kVectors];
    for (std::size_t k = 0; k < kVectors; ++k) {
        own[k] = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers + 4 * k)), sign);
        below[k] = _mm256_setzero_si256();
    }
    for (std::size_t j = 0; j < count; ++j) {
        const __m256i other = _mm256_xor_si256(_mm256_set1_epi64x(static_cast<std::int64_t>(numbers[j])), sign);
        // A comparison that holds is -1.
        for (std::size_t k = 0; k < kVectors; ++k) {
            below[k] = _mm256_sub_epi64(below[k], _mm256_cmpgt_epi64(own[k], other));
        }
    }
    for (std::size_t k = 0; k < kVectors; ++k) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(places + 4 * k), below[k]);
    }
}
#endif

}  // namespace detail

// Sets order[p] to the index of the number in place p, ascending. False if two of
// the numbers are equal; then `order` is of no use. kRankSlack numbers beyond the
// last are readable, whatever they are.
inline bool rank(const std::uint64_t* numbers, std::size_t count, std::uint32_t* order) noexcept {
    if (count == 2) {
        const std::uint32_t swapped = numbers[1] < numbers[0] ? 1 : 0;
        order[0] = swapped;
        order[1] = 1 - swapped;
        return numbers[0] != numbers[1];
    }
    std::uint64_t places[kMostRanked];
#ifdef SIGIL_RANK_AVX2
    if (detail::kHasAvx2) {
        if (count <= 4) detail::count_below_avx2<1>(numbers, count, places);
        else if (count <= 8) detail::count_below_avx2<2>(numbers, count, places);
        else if (count <= 12) detail::count_below_avx2<3>(numbers, count, places);
        else detail::count_below_avx2<4>(numbers, count, places);
    } else
#endif
        detail::count_below(numbers, count, places);
    std::uint32_t taken = 0;
    for (std::size_t i = 0; i < count; ++i) {
        order[places[i]] = static_cast<std::uint32_t>(i);
        taken |= 1u << places[i];
    }
    return taken == (1u << count) - 1;
}

}  // namespace sigil
