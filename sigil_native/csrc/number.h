// Numbers as ECMAScript writes them: Number::toString (ECMA-262 §6.1.6.1.20),
// which RFC 8785 §3.2.2.3 takes over.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sigil {

// Longest result: "-2.2250738585072014e-308" and "-0.0000012345678901234567".
constexpr int kLongestNumber = 32;

// The largest integer that binary64 keeps exactly along with both neighbours.
constexpr std::uint64_t kMaxSafeInteger = (std::uint64_t{1} << 53) - 1;

// Longest integer that exact mode writes; MAX_INTEGER_DIGITS of _constants.py.
constexpr std::size_t kMaxIntegerDigits = 4300;

// Writes a finite number, no terminator; -0 becomes 0. `out` has room for
// kLongestNumber characters. Returns the end of the text.
char* write_number(double value, char* out) noexcept;

// Writes a whole number's digits. `out` has room for 20 characters.
char* write_integer(std::uint64_t value, char* out) noexcept;

}  // namespace sigil
