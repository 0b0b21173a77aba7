// Decimal digits of integers beyond 64 bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "number.h"

namespace sigil {

// 10^4300 - 1 has so many bits.
constexpr std::size_t kMaxIntegerBits = 14285;

// Writes the magnitude whose `count` digits of `bits` bits each, least significant
// first, stand at `digits`; not 0. `out` has room for kMaxIntegerDigits. Returns the
// number of decimal digits, 0 if they are more than kMaxIntegerDigits.
template <typename Digit>
std::size_t write_big_integer(const Digit* digits, std::size_t count, unsigned bits, char* out) noexcept {
    constexpr std::uint64_t kLimb = 1'000'000'000;
    constexpr std::size_t kLimbs = kMaxIntegerDigits / 9 + 3;
    if (count > (kMaxIntegerBits + bits - 1) / bits) return 0;
    std::uint32_t limbs[kLimbs];
    std::size_t used = 0;
    for (std::size_t i = count; i-- > 0;) {
        std::uint64_t carry = digits[i];
        for (std::size_t j = 0; j < used; ++j) {
            const std::uint64_t sum = (std::uint64_t{limbs[j]} << bits) + carry;
            limbs[j] = static_cast<std::uint32_t>(sum % kLimb);
            carry = sum / kLimb;
        }
        for (; carry != 0; carry /= kLimb) limbs[used++] = static_cast<std::uint32_t>(carry % kLimb);
    }
    std::size_t size = 9 * (used - 1);
    for (std::uint32_t top = limbs[used - 1]; top != 0; top /= 10) ++size;
    if (size > kMaxIntegerDigits) return 0;
    std::size_t place = size;
    for (std::size_t j = 0; j < used; ++j) {
        std::uint32_t rest = limbs[j];
        for (int k = 0; k < 9 && place > 0; ++k, rest /= 10) out[--place] = static_cast<char>('0' + rest % 10);
    }
    return size;
}

}  // namespace sigil
