#include "json_number.h"

#include <charconv>
#include <cstring>

namespace sigil {
namespace {

bool is_digit(std::uint8_t byte) noexcept { return byte >= '0' && byte <= '9'; }

const std::uint8_t* skip_digits(const std::uint8_t* position, const std::uint8_t* end) noexcept {
    while (position != end && is_digit(*position)) ++position;
    return position;
}

void replace(NumberToken& token, const char* text, std::size_t size) noexcept {
    token.verbatim = false;
    token.size = static_cast<std::uint8_t>(size);
    std::memcpy(token.text, text, size);
}

Problem judge_integer(const std::uint8_t* begin, const std::uint8_t* digits, bool exact, NumberToken& token) noexcept {
    const auto count = static_cast<std::size_t>(token.end - digits);
    if (*digits == '0') {
        if (digits != begin) replace(token, "0", 1);
        return Problem::none;
    }
    if (exact) return count > kMaxIntegerDigits ? Problem::integer_range : Problem::none;
    if (count > 16) return Problem::integer_range;
    std::uint64_t value = 0;
    for (const std::uint8_t* digit = digits; digit != token.end; ++digit) value = value * 10 + (*digit - '0');
    return value > kMaxSafeInteger ? Problem::integer_range : Problem::none;
}

// Whether a number that from_chars found out of range is too large, not too
// small: its first significant digit stands before the point.
bool overflows(const std::uint8_t* digits, const std::uint8_t* end) noexcept {
    constexpr std::int64_t kFar = std::int64_t{1} << 40;
    std::int64_t magnitude = 0;
    bool significant = false;
    const std::uint8_t* position = digits;
    for (; position != end && is_digit(*position); ++position) {
        significant |= *position != '0';
        magnitude += significant;
    }
    if (position != end && *position == '.') {
        for (++position; position != end && is_digit(*position); ++position) {
            significant |= *position != '0';
            magnitude -= !significant;
        }
    }
    if (position == end) return magnitude > 0;
    const bool negative = *++position == '-';
    if (!is_digit(*position)) ++position;
    std::int64_t exponent = 0;
    for (; position != end; ++position) {
        exponent = exponent * 10 + (*position - '0');
        if (exponent > kFar) exponent = kFar;
    }
    return magnitude + (negative ? -exponent : exponent) > 0;
}

Problem judge_fraction(const std::uint8_t* begin, const std::uint8_t* digits, NumberToken& token) noexcept {
    const char* first = reinterpret_cast<const char*>(begin);
    const char* last = reinterpret_cast<const char*>(token.end);
    double value = 0;
    if (std::from_chars(first, last, value).ec == std::errc::result_out_of_range) {
        if (overflows(digits, token.end)) return Problem::non_finite_number;
        value = 0;
    }
    const auto size = static_cast<std::size_t>(write_number(value, token.text) - token.text);
    token.size = static_cast<std::uint8_t>(size);
    token.verbatim = size == static_cast<std::size_t>(last - first) && std::memcmp(token.text, first, size) == 0;
    return Problem::none;
}

}  // namespace

Problem read_number(const std::uint8_t* begin, const std::uint8_t* end, bool exact_integers,
                    NumberToken& token) noexcept {
    token.verbatim = true;
    const std::uint8_t* position = begin;
    const auto malformed = [&] {
        token.end = position;
        return position == end ? Problem::unexpected_end : Problem::invalid_number;
    };
    if (*position == '-') ++position;
    const std::uint8_t* digits = position;
    if (position == end || !is_digit(*position)) return malformed();
    position = *position == '0' ? position + 1 : skip_digits(position, end);
    bool integer = true;
    if (position != end && *position == '.') {
        integer = false;
        ++position;
        if (position == end || !is_digit(*position)) return malformed();
        position = skip_digits(position, end);
    }
    if (position != end && (*position | 0x20) == 'e') {
        integer = false;
        ++position;
        if (position != end && (*position == '+' || *position == '-')) ++position;
        if (position == end || !is_digit(*position)) return malformed();
        position = skip_digits(position, end);
    }
    token.end = position;
    return integer ? judge_integer(begin, digits, exact_integers, token) : judge_fraction(begin, digits, token);
}

}  // namespace sigil
