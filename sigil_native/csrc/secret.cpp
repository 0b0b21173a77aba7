#include "secret.h"

namespace sigil {

bool equal_bytes(const std::uint8_t* left, const std::uint8_t* right, std::size_t size) noexcept {
    // Volatile, so that no compiler turns the loop into one that stops early.
    volatile std::uint8_t difference = 0;
    for (std::size_t i = 0; i < size; ++i) {
        difference = static_cast<std::uint8_t>(difference | (left[i] ^ right[i]));
    }
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
