// Small operations on words that every part of the transcoder uses.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#define SIGIL_INLINE __forceinline
#define SIGIL_NOINLINE __declspec(noinline)
#define SIGIL_COLD __declspec(noinline)
#define SIGIL_LIKELY(condition) (condition)
#define SIGIL_UNLIKELY(condition) (condition)
#else
#define SIGIL_INLINE inline __attribute__((always_inline))
#define SIGIL_NOINLINE __attribute__((noinline))
#define SIGIL_COLD __attribute__((noinline, cold))
#define SIGIL_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define SIGIL_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#endif

namespace sigil {

// Index of the lowest set bit; `word` is not 0.
SIGIL_INLINE std::uint32_t lowest_bit(std::uint64_t word) noexcept {
#if defined(_MSC_VER) && !defined(__clang__)
    unsigned long index;
    _BitScanForward64(&index, word);
    return index;
#else
    return static_cast<std::uint32_t>(__builtin_ctzll(word));
#endif
}

SIGIL_INLINE std::uint32_t count_bits(std::uint64_t word) noexcept {
#if defined(_MSC_VER) && !defined(__clang__)
    word -= (word >> 1) & 0x5555555555555555u;
    word = (word & 0x3333333333333333u) + ((word >> 2) & 0x3333333333333333u);
    word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    return static_cast<std::uint32_t>((word * 0x0101010101010101u) >> 56);
#else
    return static_cast<std::uint32_t>(__builtin_popcountll(word));
#endif
}

// `count` ones at the low end; count <= 64.
SIGIL_INLINE std::uint64_t low_bits(std::uint32_t count) noexcept {
    return count >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1;
}

// Eight bytes, the first of them the most significant.
SIGIL_INLINE std::uint64_t load_big_endian(const std::uint8_t* bytes) noexcept {
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
#if defined(_MSC_VER) && !defined(__clang__)
    return _byteswap_uint64(word);
#elif __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap64(word);
#else
    return word;
#endif
}

// Eight bytes, the first of them the least significant.
SIGIL_INLINE std::uint64_t load_little_endian(const std::uint8_t* bytes) noexcept {
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
#if !defined(_MSC_VER) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

// What pass 1 finds in a block of 64 bytes, a bit for each.
struct BlockMasks {
    std::uint64_t quotes;   // that are not escaped
    std::uint64_t escapes;  // backslashes that are not escaped themselves
    std::uint64_t keep;     // all but white space between tokens
};

}  // namespace sigil
