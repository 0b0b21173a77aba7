// Strict UTF-8 (RFC 3629) and the escapes of JSON strings.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sigil {

inline bool is_continuation(std::uint8_t byte) noexcept { return (byte & 0xC0) == 0x80; }

// Length of the well-formed sequence at `text`, which `available` >= 1 bytes
// remain of; 0 if it is ill-formed: overlong, a surrogate, beyond U+10FFFF,
// truncated, or a stray continuation byte.
inline std::uint32_t utf8_sequence(const std::uint8_t* text, std::size_t available) noexcept {
    const std::uint8_t lead = text[0];
    if (lead < 0x80) return 1;
    if (lead < 0xC2 || lead > 0xF4 || available < 2) return 0;
    const std::uint8_t second = text[1];
    if (!is_continuation(second)) return 0;
    if (lead < 0xE0) return 2;
    if (available < 3 || !is_continuation(text[2])) return 0;
    if (lead < 0xF0) {
        if (lead == 0xE0 && second < 0xA0) return 0;
        if (lead == 0xED && second > 0x9F) return 0;
        return 3;
    }
    if (available < 4 || !is_continuation(text[3])) return 0;
    if (lead == 0xF0 && second < 0x90) return 0;
    if (lead == 0xF4 && second > 0x8F) return 0;
    return 4;
}

// Writes a code point (no surrogate) as UTF-8, at most four bytes; returns the end.
inline std::uint8_t* put_utf8(std::uint32_t point, std::uint8_t* out) noexcept {
    const auto byte = [](std::uint32_t value) { return static_cast<std::uint8_t>(value); };
    if (point < 0x80) {
        *out++ = byte(point);
    } else if (point < 0x800) {
        *out++ = byte(0xC0 | point >> 6);
        *out++ = byte(0x80 | (point & 0x3F));
    } else if (point < 0x10000) {
        *out++ = byte(0xE0 | point >> 12);
        *out++ = byte(0x80 | (point >> 6 & 0x3F));
        *out++ = byte(0x80 | (point & 0x3F));
    } else {
        *out++ = byte(0xF0 | point >> 18);
        *out++ = byte(0x80 | (point >> 12 & 0x3F));
        *out++ = byte(0x80 | (point >> 6 & 0x3F));
        *out++ = byte(0x80 | (point & 0x3F));
    }
    return out;
}

// What a byte stands for after a backslash, 'u' and unknown bytes excepted (0).
inline std::uint8_t simple_escape(std::uint8_t letter) noexcept {
    switch (letter) {
        case '"': return '"';
        case '\\': return '\\';
        case '/': return '/';
        case 'b': return '\b';
        case 'f': return '\f';
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        default: return 0;
    }
}

// Whether a backslash and that letter are how RFC 8785 §3.2.2.2 spells a character, too.
inline bool is_canonical_escape(std::uint8_t letter) noexcept { return simple_escape(letter) != 0 && letter != '/'; }

// Writes a code point as RFC 8785 §3.2.2.2 spells it in a string, at most six
// bytes; returns the end.
inline std::uint8_t* put_escaped(std::uint32_t point, std::uint8_t* out) noexcept {
    if (point >= 0x20 && point != '"' && point != '\\') return put_utf8(point, out);
    *out++ = '\\';
    switch (point) {
        case '"': *out++ = '"'; return out;
        case '\\': *out++ = '\\'; return out;
        case '\b': *out++ = 'b'; return out;
        case '\f': *out++ = 'f'; return out;
        case '\n': *out++ = 'n'; return out;
        case '\r': *out++ = 'r'; return out;
        case '\t': *out++ = 't'; return out;
        default: break;
    }
    *out++ = 'u';
    *out++ = '0';
    *out++ = '0';
    *out++ = static_cast<std::uint8_t>('0' + (point >> 4));
    *out++ = static_cast<std::uint8_t>("0123456789abcdef"[point & 15]);
    return out;
}

constexpr std::uint32_t kNotHex = 0xFFFFFFFF;

// The value of four hexadecimal digits, or kNotHex.
inline std::uint32_t hex4(const std::uint8_t* digits) noexcept {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
        const std::uint32_t c = digits[i];
        const std::uint32_t lower = c | 0x20;
        std::uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if (lower >= 'a' && lower <= 'f') {
            digit = lower - 'a' + 10;
        } else {
            return kNotHex;
        }
        value = value << 4 | digit;
    }
    return value;
}

enum class Escape : std::uint8_t { ok, invalid, lone_surrogate };

struct EscapeToken {
    std::uint32_t point = 0;  // the code point that it stands for
    std::uint32_t size = 0;   // 2, 6, or 12 bytes for a surrogate pair
};

// Reads the escape at `text`, which begins with a backslash and which
// `available` bytes remain of.
inline Escape read_escape(const std::uint8_t* text, std::size_t available, EscapeToken& token) noexcept {
    if (available < 2) return Escape::invalid;
    if (text[1] != 'u') {
        token.point = simple_escape(text[1]);
        token.size = 2;
        return token.point != 0 ? Escape::ok : Escape::invalid;
    }
    if (available < 6) return Escape::invalid;
    const std::uint32_t unit = hex4(text + 2);
    if (unit == kNotHex) return Escape::invalid;
    token.point = unit;
    token.size = 6;
    if (unit < 0xD800 || unit > 0xDFFF) return Escape::ok;
    if (unit > 0xDBFF || available < 12 || text[6] != '\\' || text[7] != 'u') return Escape::lone_surrogate;
    const std::uint32_t low = hex4(text + 8);
    if (low < 0xDC00 || low > 0xDFFF) return Escape::lone_surrogate;
    token.point = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    token.size = 12;
    return Escape::ok;
}

}  // namespace sigil
