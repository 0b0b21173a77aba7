// What is told of a seal, as text: ids, digests and moments.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sigil {

constexpr std::size_t kUuidTextSize = 36;
constexpr std::size_t kMomentSize = 24;
constexpr std::size_t kLongestInteger = 20;
constexpr std::int64_t kLastMomentMs = 253402300799999;  // 9999-12-31T23:59:59.999Z, as in _constants.py

#if defined(__SSE2__)
// A digit for each nibble: those above 9 are lifted to the letters.
inline __m128i digits_of(__m128i nibbles) noexcept {
    const __m128i letters = _mm_and_si128(_mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9)), _mm_set1_epi8('a' - '0' - 10));
    return _mm_add_epi8(_mm_add_epi8(nibbles, _mm_set1_epi8('0')), letters);
}
#endif

// Two lower-case hexadecimal digits a byte, sixteen bytes at a time, then four: each nibble moves to a byte of its
// own, and those above 9 are lifted to the letters. Returns the end, as all of these do.
inline std::uint8_t* write_hex(const std::uint8_t* bytes, std::size_t size, std::uint8_t* out) noexcept {
    constexpr std::uint64_t kEach = 0x0101010101010101;
    constexpr std::uint64_t kLow = 0x000f000f000f000f;
    std::size_t i = 0;
#if defined(__SSE2__)
    for (; i + 16 <= size; i += 16, out += 32) {
        const __m128i four_bits = _mm_set1_epi8(15);
        const __m128i both = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + i));
        const __m128i high = _mm_and_si128(_mm_srli_epi16(both, 4), four_bits);
        const __m128i low = _mm_and_si128(both, four_bits);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), digits_of(_mm_unpacklo_epi8(high, low)));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), digits_of(_mm_unpackhi_epi8(high, low)));
    }
#endif
    for (; i + 4 <= size; i += 4) {
        std::uint64_t digits = 0;
        for (std::size_t byte = 4; byte-- != 0;) digits = digits << 16 | bytes[i + byte];
        digits = (digits >> 4 & kLow) | (digits & kLow) << 8;
        const std::uint64_t letters = (digits + 6 * kEach) >> 4 & kEach;
        digits += '0' * kEach + letters * ('a' - '0' - 10);
        for (std::size_t digit = 0; digit < 8; ++digit) {
            *out++ = static_cast<std::uint8_t>(digits >> 8 * digit);
        }
    }
    for (; i < size; ++i) {
        constexpr char kDigits[] = "0123456789abcdef";
        *out++ = static_cast<std::uint8_t>(kDigits[bytes[i] >> 4]);
        *out++ = static_cast<std::uint8_t>(kDigits[bytes[i] & 15]);
    }
    return out;
}

// 8-4-4-4-12 digits (RFC 9562 §4).
inline std::uint8_t* write_uuid(const std::uint8_t* id, std::uint8_t* out) noexcept {
    std::uint8_t digits[32];
    write_hex(id, 16, digits);
    std::memcpy(out, digits, 8);
    std::memcpy(out + 9, digits + 8, 4);
    std::memcpy(out + 14, digits + 12, 4);
    std::memcpy(out + 19, digits + 16, 4);
    std::memcpy(out + 24, digits + 20, 12);
    out[8] = out[13] = out[18] = out[23] = '-';
    return out + kUuidTextSize;
}

// Decimal digits.
inline std::uint8_t* write_number(std::uint64_t value, std::uint8_t* out) noexcept {
    char* const begin = reinterpret_cast<char*>(out);
    return reinterpret_cast<std::uint8_t*>(std::to_chars(begin, begin + kLongestInteger, value).ptr);
}

// Moments in RFC 3339, UTC, to the millisecond; from 1970 to 9999, and what lies behind as the last of these, for
// which alone there is a text. The text of the last second is kept: most moments of a batch are of the same one.
class MomentWriter {
  public:
    std::uint8_t* write(std::uint64_t milliseconds, std::uint8_t* out) noexcept {
        milliseconds = std::min(milliseconds, static_cast<std::uint64_t>(kLastMomentMs));
        const std::uint64_t second = milliseconds / 1000;
        if (second != second_) spell(second);
        std::memcpy(out, text_, kMomentSize);
        put(static_cast<std::uint32_t>(milliseconds % 1000), 3, out + 20);
        return out + kMomentSize;
    }

  private:
    static void put(std::uint32_t value, int digits, std::uint8_t* out) noexcept {
        for (int i = digits - 1; i >= 0; --i, value /= 10) out[i] = static_cast<std::uint8_t>('0' + value % 10);
    }

    // The calendar repeats itself every 400 years, which are 146,097 days. A year that begins with March has
    // its leap day at its end, and its months' lengths follow a line of 153 days in five months.
    void spell(std::uint64_t second) noexcept {
        second_ = second;
        const auto of_day = static_cast<std::uint32_t>(second % 86400);
        const auto days = static_cast<std::uint32_t>(second / 86400) + 719468;  // since 1 March of the year 0
        const std::uint32_t era = days / 146097;
        const std::uint32_t of_era = days % 146097;
        const std::uint32_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
        const std::uint32_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        const std::uint32_t march_month = (5 * of_year + 2) / 153;
        const std::uint32_t day = of_year - (153 * march_month + 2) / 5 + 1;
        const std::uint32_t month = march_month < 10 ? march_month + 3 : march_month - 9;
        const std::uint32_t year = era * 400 + year_of_era + (month <= 2);
        std::memcpy(text_, "0000-00-00T00:00:00.000Z", kMomentSize);
        put(year, 4, text_);
        put(month, 2, text_ + 5);
        put(day, 2, text_ + 8);
        put(of_day / 3600, 2, text_ + 11);
        put(of_day / 60 % 60, 2, text_ + 14);
        put(of_day % 60, 2, text_ + 17);
    }

    std::uint64_t second_ = UINT64_MAX;
    std::uint8_t text_[kMomentSize] = {};
};

}  // namespace sigil
