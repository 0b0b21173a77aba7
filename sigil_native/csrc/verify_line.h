// The plain ones among lines that ask for verdicts:
//
//   {"sigil":"…","data":…}    {"data":…,"sigil":"…"}    {"sigil":"…"}
//
// As in request_line.h they are read from without, and the payload only claims to be a JSON text: if it is one, by
// itself and to its last byte, and what stands between the sigil's quotes means itself, then the line is a JSON text
// with these members and no others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "request_line.h"

namespace sigil {

struct PlainVerifyRequest {
    const std::uint8_t* sigil;
    std::size_t sigil_size;
    const std::uint8_t* payload;  // without white space around it; perhaps empty
    std::size_t size;
};

namespace request {

// Whether text means itself between quotes. All of it is looked at, many bytes at a time.
inline bool is_plain_text(const std::uint8_t* text, std::size_t size) noexcept {
    unsigned others = 0;
    for (std::size_t i = 0; i < size; ++i) {
        others |= (text[i] < 0x20) | (text[i] > 0x7e) | (text[i] == '"') | (text[i] == '\\');
    }
    return others == 0;
}

// The end of a text up to its last quote, eight bytes at a time; its beginning: it has none.
inline const std::uint8_t* behind_last_quote(const std::uint8_t* begin, const std::uint8_t* end) noexcept {
    constexpr std::uint64_t kEach = 0x0101010101010101;
    while (end - begin >= 8) {
        std::uint64_t word;
        std::memcpy(&word, end - 8, 8);
        word ^= '"' * kEach;
        if (((word - kEach) & ~word & 0x80 * kEach) != 0) break;  // a byte is zero
        end -= 8;
    }
    while (begin != end && end[-1] != '"') --end;
    return end;
}

// What stands between quotes at the beginning of what is left.
inline bool take_first_text(Rest& rest, PlainVerifyRequest& out) noexcept {
    if (!rest.take_first("\"")) return false;
    const std::size_t left = static_cast<std::size_t>(rest.end - rest.begin);
    if (left == 0) return false;
    const auto* const quote = static_cast<const std::uint8_t*>(std::memchr(rest.begin, '"', left));
    if (quote == nullptr) return false;
    out.sigil = rest.begin;
    out.sigil_size = static_cast<std::size_t>(quote - rest.begin);
    rest.begin = quote + 1;
    return true;
}

// The same at its end.
inline bool take_last_text(Rest& rest, PlainVerifyRequest& out) noexcept {
    if (!rest.take_last("\"")) return false;
    const std::uint8_t* const quote = rest.end;
    rest.end = behind_last_quote(rest.begin, rest.end);
    if (rest.begin == rest.end) return false;
    out.sigil = rest.end;
    out.sigil_size = static_cast<std::size_t>(quote - rest.end);
    --rest.end;
    return true;
}

}  // namespace request

// Reads the ends of a line, whatever its payload. False: it is not plain. Whether the sigil's text means itself is not
// looked at: if it is a sigil, it does.
inline bool read_verify_line(const std::uint8_t* line, std::size_t size, PlainVerifyRequest& out) noexcept {
    request::Rest rest{line, line + size};
    if (!rest.take_first("{") || !rest.take_last("}")) return false;
    if (rest.take_first("\"sigil\"")) {
        if (!rest.take_first(":") || !request::take_first_text(rest, out)) return false;
        if (!rest.take_first(",") || !rest.take_first("\"data\"") || !rest.take_first(":")) return false;
    } else {
        if (!rest.take_first("\"data\"") || !rest.take_first(":")) return false;
        if (!request::take_last_text(rest, out)) return false;
        if (!rest.take_last(":") || !rest.take_last("\"sigil\"") || !rest.take_last(",")) return false;
    }
    rest.skip_first_blanks();
    rest.skip_last_blanks();
    out.payload = rest.begin;
    out.size = static_cast<std::size_t>(rest.end - rest.begin);
    return true;
}

// The same, of a line whose payload claims to be an object, and whose sigil is printable ASCII without escapes.
inline bool read_plain_verify_request(const std::uint8_t* line, std::size_t size, PlainVerifyRequest& out) noexcept {
    return read_verify_line(line, size, out) && out.size != 0 && out.payload[0] == '{' &&
           out.payload[out.size - 1] == '}' && request::is_plain_text(out.sigil, out.sigil_size);
}

// Reads a line that has a sigil and nothing else, which may be a token. Its text is looked at as little.
inline bool read_lone_sigil(const std::uint8_t* line, std::size_t size, PlainVerifyRequest& out) noexcept {
    request::Rest rest{line, line + size};
    if (!rest.take_first("{") || !rest.take_first("\"sigil\"") || !rest.take_first(":")) return false;
    if (!request::take_first_text(rest, out) || !rest.take_first("}")) return false;
    rest.skip_first_blanks();
    out.payload = nullptr;
    out.size = 0;
    return rest.begin == rest.end;
}

}  // namespace sigil
