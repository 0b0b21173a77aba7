// Handling of bytes that nobody may learn: comparison and erasure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sigil {

// Whether two runs of `size` bytes are equal; the time tells nothing about where they differ.
bool equal_bytes(const std::uint8_t* left, const std::uint8_t* right, std::size_t size) noexcept;

// Overwrites memory with zeros in a way that the optimiser may not drop.
void wipe(void* memory, std::size_t size) noexcept;

}  // namespace sigil
