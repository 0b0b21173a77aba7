// HKDF-SHA-256 (RFC 5869).
#pragma once

#include "sha256_kernel.h"

namespace sigil {

constexpr std::size_t kLongestHkdfOutput = 255 * kDigestSize;

// Extract and expand. `length` is at most kLongestHkdfOutput.
void hkdf(const Sha256Kernel& kernel, const std::uint8_t* secret, std::size_t secret_size,
          const std::uint8_t* salt, std::size_t salt_size, const std::uint8_t* info,
          std::size_t info_size, std::uint8_t* out, std::size_t length) noexcept;

}  // namespace sigil
