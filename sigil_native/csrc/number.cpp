#include "number.h"

#include <charconv>
#include <cstring>

namespace sigil {
namespace {

// The shortest digits that round-trip, and the decimal point's place: the value
// is 0.DIGITS times ten to the power `point`.
struct Decimal {
    char digits[20];
    int count;
    int point;
};

Decimal shortest_decimal(double positive) noexcept {
    char text[40];
    const auto end = std::to_chars(text, text + sizeof text, positive, std::chars_format::scientific).ptr;
    // D[.DDD]e±XX[X]
    Decimal decimal;
    decimal.digits[0] = text[0];
    decimal.count = 1;
    const char* position = text + 1;
    if (*position == '.') {
        for (++position; *position != 'e'; ++position) decimal.digits[decimal.count++] = *position;
    }
    const bool negative = position[1] == '-';
    int exponent = 0;
    for (position += 2; position != end; ++position) exponent = exponent * 10 + (*position - '0');
    decimal.point = (negative ? -exponent : exponent) + 1;
    return decimal;
}

char* put(char* out, const char* text, int count) noexcept {
    std::memcpy(out, text, static_cast<std::size_t>(count));
    return out + count;
}

char* zeros(char* out, int count) noexcept {
    std::memset(out, '0', static_cast<std::size_t>(count));
    return out + count;
}

// Most numbers in events are amounts: whole, or with a few decimals. Writes such a
// number and returns the end, null if it is not one.
//
// Why this is Number::toString: let n = round(value * 100) < 10^15. If n / 100,
// correctly rounded, is the value, then the decimal n / 100 reads back as the value.
// No two decimals of at most 15 digits are read as the same double (DBL_DIG), so,
// trailing zeros removed, no shorter one reads back as it, and none as short.
char* write_short_decimal(double positive, char* out) noexcept {
    if (!(positive >= 1e-2 && positive < 1e13)) return nullptr;
    const auto hundredths = static_cast<std::uint64_t>(positive * 100 + 0.5);
    if (static_cast<double>(hundredths) / 100 != positive) return nullptr;
    out = write_integer(hundredths / 100, out);
    const auto rest = static_cast<unsigned>(hundredths % 100);
    if (rest == 0) return out;
    out[0] = '.';
    out[1] = static_cast<char>('0' + rest / 10);
    out[2] = static_cast<char>('0' + rest % 10);
    return out + (rest % 10 == 0 ? 2 : 3);
}

}  // namespace

char* write_integer(std::uint64_t value, char* out) noexcept {
    if (value < 10) {
        *out = static_cast<char>('0' + value);
        return out + 1;
    }
    return std::to_chars(out, out + 20, value).ptr;
}

char* write_number(double value, char* out) noexcept {
    if (value == 0) {
        *out++ = '0';
        return out;
    }
    if (value < 0) {
        *out++ = '-';
        value = -value;
    }
    if (char* const end = write_short_decimal(value, out)) return end;
    const Decimal decimal = shortest_decimal(value);
    const int count = decimal.count;
    const int point = decimal.point;
    if (count <= point && point <= 21) {
        out = put(out, decimal.digits, count);
        return zeros(out, point - count);
    }
    if (0 < point && point <= 21) {
        out = put(out, decimal.digits, point);
        *out++ = '.';
        return put(out, decimal.digits + point, count - point);
    }
    if (-6 < point && point <= 0) {
        *out++ = '0';
        *out++ = '.';
        out = zeros(out, -point);
        return put(out, decimal.digits, count);
    }
    *out++ = decimal.digits[0];
    if (count > 1) {
        *out++ = '.';
        out = put(out, decimal.digits + 1, count - 1);
    }
    *out++ = 'e';
    int exponent = point - 1;
    *out++ = exponent < 0 ? '-' : '+';
    if (exponent < 0) exponent = -exponent;
    return std::to_chars(out, out + 4, exponent).ptr;
}

}  // namespace sigil
