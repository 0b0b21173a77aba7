// The order of member names: by UTF-16 code units (RFC 8785 §3.2.3).
//
// Names are runs of code points of one, two or four bytes each, as Python keeps
// them, so nothing has to be converted before it can be compared.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sigil {

struct Text {
    const void* points;
    std::size_t length;
    std::uint8_t width;  // bytes of a code point: 1, 2 or 4
};

namespace detail {

inline std::uint32_t point_at(const Text& text, std::size_t index) noexcept {
    switch (text.width) {
        case 1: return static_cast<const std::uint8_t*>(text.points)[index];
        case 2: return static_cast<const std::uint16_t*>(text.points)[index];
        default: return static_cast<const std::uint32_t*>(text.points)[index];
    }
}

// Reads a text as UTF-16: a code point above U+FFFF is two units.
class Utf16Reader {
  public:
    explicit Utf16Reader(const Text& text) noexcept : text_(text) {}

    bool at_end() const noexcept { return low_ == 0 && index_ == text_.length; }

    std::uint32_t next() noexcept {
        if (low_ != 0) {
            const std::uint32_t unit = low_;
            low_ = 0;
            return unit;
        }
        const std::uint32_t point = point_at(text_, index_++);
        if (point < 0x10000) return point;
        low_ = 0xDC00 | (point & 0x3FF);
        return 0xD800 + ((point - 0x10000) >> 10);
    }

  private:
    const Text& text_;
    std::size_t index_ = 0;
    std::uint32_t low_ = 0;
};

}  // namespace detail

// Negative, zero or positive, as the first comes before, is, or comes after the second.
inline int compare_utf16(const Text& first, const Text& second) noexcept {
    if (first.width == 1 && second.width == 1) {
        const int order = std::memcmp(first.points, second.points, std::min(first.length, second.length));
        if (order != 0 || first.length == second.length) return order;
        return first.length < second.length ? -1 : 1;
    }
    detail::Utf16Reader a(first);
    detail::Utf16Reader b(second);
    while (!a.at_end() && !b.at_end()) {
        const std::uint32_t x = a.next();
        const std::uint32_t y = b.next();
        if (x != y) return x < y ? -1 : 1;
    }
    return static_cast<int>(b.at_end()) - static_cast<int>(a.at_end());
}

// A number that orders names as compare_utf16 does wherever two such numbers
// differ; equal numbers say nothing. One byte for each of the first eight code
// points; from the first one above U+00FE on everything is FF.
inline std::uint64_t order_prefix(const Text& text) noexcept {
    std::uint64_t prefix = 0;
    bool is_beyond = false;
    for (std::size_t i = 0; i < 8; ++i) {
        const std::uint32_t point = i < text.length ? detail::point_at(text, i) : 0;
        is_beyond = is_beyond || point >= 0xFF;
        prefix = prefix << 8 | (is_beyond ? 0xFF : point);
    }
    return prefix;
}

// The same for ASCII text, in a handful of instructions. At least eight readable
// bytes lie before `text` (in Python's strings: the object's header).
inline std::uint64_t order_prefix_ascii(const std::uint8_t* text, std::size_t length) noexcept {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    // Read the eight bytes that end with the prefix and push out what lies before
    // the text; in two halves, as a shift by 64 is none.
    const std::size_t kept = std::min<std::size_t>(length, 8);
    const std::size_t half = 4 * (8 - kept);
    std::uint64_t word;
    std::memcpy(&word, text + kept - 8, 8);
    return __builtin_bswap64(word >> half >> half);
#else
    return order_prefix(Text{text, length, 1});
#endif
}

}  // namespace sigil
