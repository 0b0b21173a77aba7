// base64url without padding (RFC 4648 §5), in its one canonical spelling.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sigil {

constexpr std::size_t base64url_size(std::size_t bytes) noexcept { return bytes / 3 * 4 + (bytes % 3 * 8 + 5) / 6; }
constexpr std::size_t base64url_decoded_size(std::size_t characters) noexcept {
    return characters / 4 * 3 + characters % 4 * 6 / 8;
}

// `out` has room for base64url_size(size) characters; returns its end.
std::uint8_t* write_base64url(const std::uint8_t* bytes, std::size_t size, std::uint8_t* out) noexcept;

// The same of 64 bytes in two halves, which need not lie one behind the other.
std::uint8_t* write_base64url_halves(const std::uint8_t* first, const std::uint8_t* second, std::uint8_t* out) noexcept;

// Are all characters of the alphabet?
bool is_base64url(const std::uint8_t* text, std::size_t size) noexcept;

// Is a bit of the last character set that belongs to no byte? The text is of the alphabet.
bool has_unused_bits(const std::uint8_t* text, std::size_t size) noexcept;

// Is a text how these bytes are spelled?
bool is_base64url_of(const std::uint8_t* text, std::size_t size, const std::uint8_t* bytes, std::size_t count) noexcept;

// Writes base64url_decoded_size(size) bytes; `size` mod 4 is not 1. False: a
// character outside the alphabet, and the bytes mean nothing.
bool read_base64url(const std::uint8_t* text, std::size_t size, std::uint8_t* out) noexcept;

}  // namespace sigil
