#include "secret.h"

#include <cstring>

namespace sigil {

bool equal_bytes(const std::uint8_t* left, const std::uint8_t* right, std::size_t size) noexcept {
    // Volatile, so that no compiler turns the loops into ones that stop early.
    volatile std::uint64_t difference = 0;
    std::size_t i = 0;
    for (; i + sizeof(std::uint64_t) <= size; i += sizeof(std::uint64_t)) {
        std::uint64_t one = 0;
        std::uint64_t other = 0;
        std::memcpy(&one, left + i, sizeof one);
        std::memcpy(&other, right + i, sizeof other);
        difference = difference | (one ^ other);
    }
    for (; i < size; ++i) difference = difference | static_cast<std::uint64_t>(left[i] ^ right[i]);
    return difference == 0;
}

void wipe(void* memory, std::size_t size) noexcept {
    // Stores through a volatile pointer are side effects (C++17 [intro.execution]),
    // so they stay even where the memory is never read again. Everything wiped
    // here is small; explicit_bzero would need a fallback of just this kind.
    volatile std::uint8_t* bytes = static_cast<std::uint8_t*>(memory);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = 0;
}

}  // namespace sigil
