// The 64 bytes of a version 1 sigil and its text forms. Integers are big-endian:
//
//   offset  size  field
//        0     1  version, 1
//        1     1  flags, 0
//        2     4  key id
//        6     2  zero
//        8     8  expiry, milliseconds since the Unix epoch; 0 = never
//       16    16  id, a UUIDv7 (RFC 9562): its first 48 bits are the issue time
//       32    32  tag
//
// Every form is canonical: one sigil has one spelling in each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base64url.h"

namespace sigil {

constexpr std::size_t kSigilSize = 64;
constexpr std::size_t kHeaderSize = 32;
constexpr std::size_t kTagSize = 32;
constexpr std::size_t kIdentifierOffset = 16;
constexpr std::size_t kPrefixSize = 5;  // "sgl1_"
constexpr std::size_t kTextSize = 91;
constexpr std::size_t kStrandSize = 256;

// The names are those of SigilFormatError in errors.py, in the order of the checks.
enum class FormatProblem : std::uint8_t {
    none,
    shape,
    alphabet,
    trailing_bits,
    version,
    flags,
    reserved,
    identifier,
};
const char* format_problem_name(FormatProblem problem) noexcept;

inline std::uint64_t load_big_endian(const std::uint8_t* bytes, int count) noexcept {
    std::uint64_t value = 0;
    for (int i = 0; i < count; ++i) value = value << 8 | bytes[i];
    return value;
}

inline void store_big_endian(std::uint8_t* bytes, std::uint64_t value, int count) noexcept {
    for (int i = count - 1; i >= 0; --i, value >>= 8) bytes[i] = static_cast<std::uint8_t>(value);
}

inline std::uint32_t key_id_of(const std::uint8_t* sigil) noexcept {
    return static_cast<std::uint32_t>(load_big_endian(sigil + 2, 4));
}
inline std::uint64_t expires_ms_of(const std::uint8_t* sigil) noexcept { return load_big_endian(sigil + 8, 8); }
inline std::uint64_t issued_ms_of(const std::uint8_t* sigil) noexcept {
    return load_big_endian(sigil + kIdentifierOffset, 6);
}

// Everything of the header but the id.
inline void write_header(std::uint8_t* header, std::uint32_t key_id) noexcept {
    header[0] = 1;
    header[1] = 0;
    store_big_endian(header + 2, key_id, 4);
    store_big_endian(header + 6, 0, 2);
    store_big_endian(header + 8, 0, 8);
}
inline void write_expiry(std::uint8_t* header, std::uint64_t expires_ms) noexcept {
    store_big_endian(header + 8, expires_ms, 8);
}

// A sigil as text (kTextSize characters), its tag wherever it lies, and as strand (kStrandSize). Both return the end.
std::uint8_t* write_text(const std::uint8_t* header, const std::uint8_t* tag, std::uint8_t* out) noexcept;
std::uint8_t* write_strand(const std::uint8_t* sigil, std::uint8_t* out) noexcept;

struct ParsedSigil {
    std::uint8_t bytes[kSigilSize];
    // The token's payload, still base64url, its alphabet and length checked; null: no token.
    const std::uint8_t* payload;
    std::size_t payload_size;
};

// Reads any form by its shape; 64 bytes are the binary form where that is allowed.
FormatProblem parse_sigil(const std::uint8_t* data, std::size_t size, bool binary_allowed, ParsedSigil& out) noexcept;

}  // namespace sigil
