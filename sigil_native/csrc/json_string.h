// The inside of JSON strings, escaped as RFC 8785 §3.2.2.2 and ECMAScript's
// JSON.stringify do: \" \\ \b \f \n \r \t, other controls as \u00xx, all else
// as UTF-8.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define SIGIL_SSE2 1
#endif

#include "json_utf8.h"
#include "page_safe.h"
#include "utf16_order.h"

namespace sigil {

// A code point of any width becomes at most this many bytes.
constexpr std::size_t kLongestEscape = 6;
// The functions below may store this far behind the end of what they return.
constexpr std::size_t kStringSlack = 16;

namespace detail {

// A surrogate that stands alone.
inline std::uint8_t* put_unit_escape(std::uint8_t* out, std::uint32_t unit) noexcept {
    static constexpr char kHex[] = "0123456789abcdef";
    *out++ = '\\';
    *out++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4) *out++ = static_cast<std::uint8_t>(kHex[unit >> shift & 15]);
    return out;
}

inline bool is_surrogate(std::uint32_t point) noexcept { return point >> 11 == 0xD800 >> 11; }
inline bool is_high(std::uint32_t point) noexcept { return point >> 10 == 0xD800 >> 10; }
inline bool is_low(std::uint32_t point) noexcept { return point >> 10 == 0xDC00 >> 10; }

#ifdef SIGIL_SSE2
inline __m128i load16(const void* from) noexcept {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
inline void store16(void* to, __m128i bytes) noexcept { _mm_storeu_si128(static_cast<__m128i*>(to), bytes); }

// All ones in the bytes that need an escape.
inline __m128i needs_escape(__m128i bytes) noexcept {
    const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
    return _mm_or_si128(_mm_or_si128(quote, backslash), control);
}

// How many code points were copied: a whole vector of plain ASCII, or none.
inline std::size_t copy_plain(const std::uint8_t* text, std::uint8_t* out) noexcept {
    const __m128i bytes = load16(text);
    if (_mm_movemask_epi8(_mm_or_si128(bytes, needs_escape(bytes))) != 0) return 0;
    store16(out, bytes);
    return 16;
}
inline std::size_t copy_plain(const std::uint16_t* text, std::uint8_t* out) noexcept {
    const __m128i low = load16(text);
    const __m128i high = load16(text + 8);
    // Saturation makes any unit above 0xFF either 0xFF or, if "negative", 0.
    const __m128i bytes = _mm_packus_epi16(low, high);
    if (_mm_movemask_epi8(_mm_or_si128(bytes, needs_escape(bytes))) != 0) return 0;
    store16(out, bytes);
    return 16;
}
#else
template <typename Point>
std::size_t copy_plain(const Point*, std::uint8_t*) noexcept {
    return 0;
}
#endif
inline std::size_t copy_plain(const std::uint32_t*, std::uint8_t*) noexcept { return 0; }

}  // namespace detail

// Whether any of the code points is a surrogate.
inline bool has_surrogate(const Text& text) noexcept {
    if (text.width == 1) return false;
    bool found = false;
    for (std::size_t i = 0; i < text.length; ++i) found |= detail::is_surrogate(detail::point_at(text, i));
    return found;
}

#ifdef SIGIL_SSE2
namespace detail {

// Up to sixteen characters as one vector, whatever lies behind them.
SIGIL_READS_BEYOND inline __m128i load_short(const std::uint8_t* text, std::size_t length) noexcept {
    if (stays_on_page(text, 16)) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(text));  // here: load16() would be checked
    }
    std::uint8_t padded[16] = {};
    std::memcpy(padded, text, length);
    return load16(padded);
}

}  // namespace detail
#endif

// Copies ASCII text and tells whether none of it needs an escape (if not, what
// was copied is of no use). `out` has room for `length` bytes, and kStringSlack
// behind. The byte behind the text is readable (in Python's strings: a zero).
inline bool copy_plain_ascii(const std::uint8_t* text, std::size_t length, std::uint8_t* out) noexcept {
#ifdef SIGIL_SSE2
    using namespace detail;
    if (length <= 16) {
        // No branch on the length: lengths are hard to predict.
        const __m128i bytes = load_short(text, length);
        store16(out, bytes);
        const auto marks = static_cast<std::uint32_t>(_mm_movemask_epi8(needs_escape(bytes)));
        return (marks & ((std::uint32_t{1} << length) - 1)) == 0;
    }
    const __m128i head = load16(text);
    const __m128i tail = load16(text + length - 16);
    store16(out, head);
    __m128i marks = _mm_or_si128(needs_escape(head), needs_escape(tail));
    for (std::size_t i = 16; i + 16 < length; i += 16) {
        const __m128i bytes = load16(text + i);
        store16(out + i, bytes);
        marks = _mm_or_si128(marks, needs_escape(bytes));
    }
    store16(out + length - 16, tail);
    return _mm_movemask_epi8(marks) == 0;
#else
    std::memcpy(out, text, length);
    unsigned marks = 0;
    for (std::size_t i = 0; i < length; ++i) {
        marks |= static_cast<unsigned>(text[i] < 0x20) | static_cast<unsigned>(text[i] == '"') |
                 static_cast<unsigned>(text[i] == '\\');
    }
    return marks == 0;
#endif
}

namespace detail {

template <typename Point>
std::uint8_t* put_points(const Point* text, const Point* end, std::uint8_t* out, bool utf16) noexcept {
    while (text != end) {
        if (end - text >= 16) {
            const std::size_t copied = copy_plain(text, out);
            text += copied;
            out += copied;
            if (copied != 0) continue;
        }
        // Something in the next sixteen is not plain: go through them one by one.
        const Point* const stop = end - text >= 16 ? text + 16 : end;
        while (text < stop) {
            std::uint32_t point = *text++;
            if (point < 0x80) {
                out = put_escaped(point, out);
                continue;
            }
            if (is_surrogate(point)) {
                if (!utf16) return nullptr;
                if (!is_high(point) || text == end || !is_low(*text)) {
                    out = put_unit_escape(out, point);
                    continue;
                }
                point = 0x10000 + ((point & 0x3FF) << 10) + (*text++ & 0x3FFu);
            }
            out = put_utf8(point, out);
        }
    }
    return out;
}

template <typename Point>
std::size_t piece_end(const Point* points, std::size_t length, std::size_t begin) noexcept {
    constexpr std::size_t kPiece = 4096;
    if (length - begin <= kPiece) return length;
    // Not between the halves of a pair.
    return begin + kPiece + (is_high(points[begin + kPiece - 1]) ? 1 : 0);
}

template <typename Function>
auto with_points(const Text& text, Function function) noexcept {
    switch (text.width) {
        case 1: return function(static_cast<const std::uint8_t*>(text.points));
        case 2: return function(static_cast<const std::uint16_t*>(text.points));
        default: return function(static_cast<const std::uint32_t*>(text.points));
    }
}

}  // namespace detail

// Where the piece of a text that begins at `begin` ends: long strings are written
// a piece at a time, so that room is not asked for as if all of it were escapes.
inline std::size_t piece_end(const Text& text, std::size_t begin) noexcept {
    return detail::with_points(
        text, [&](auto points) { return detail::piece_end(points, text.length, begin); });
}

// Writes the code points from `begin` to `end`. `out` has room for kLongestEscape
// bytes each, and kStringSlack behind. Surrogates: with `utf16` a high one
// followed by a low one is one character and any other is written \udxxx;
// otherwise any ends the work. Returns the end of what was written, or null.
inline std::uint8_t* put_escaped(const Text& text, std::size_t begin, std::size_t end, std::uint8_t* out,
                                 bool utf16) noexcept {
    return detail::with_points(
        text, [&](auto points) { return detail::put_points(points + begin, points + end, out, utf16); });
}

}  // namespace sigil
