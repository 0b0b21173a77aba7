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

}  // namespace

char* write_number(double value, char* out) noexcept {
    if (value == 0) {
        *out++ = '0';
        return out;
    }
    if (value < 0) {
        *out++ = '-';
        value = -value;
    }
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
