// SHA-256 (FIPS 180-4): one-shot hashing, and which kernels may be used here.
#pragma once

#include "sha256_kernel.h"

namespace sigil {

constexpr std::size_t kMostKernels = 4;

// Whether the kernel gives the right answers to a series of questions that were
// answered beforehand: all paddings, and pairs and batches of unequal lengths.
bool proves_itself(const Sha256Kernel& kernel) noexcept;

// Those of the candidates that this processor can run and that prove themselves,
// in the same order; null candidates are passed over. Returns how many.
std::size_t choose_kernels(const Sha256Kernel* const* candidates, std::size_t count,
                           const Sha256Kernel** chosen) noexcept;

// The same over all kernels compiled in, best first; room for kMostKernels.
std::size_t find_kernels(const Sha256Kernel** chosen) noexcept;

void sha256(const Sha256Kernel& kernel, const std::uint8_t* data, std::size_t size,
            std::uint8_t* digest) noexcept;

struct DigestMessage {
    const std::uint8_t* data;
    std::size_t size;
    std::uint8_t* digest;  // room for kDigestSize bytes
};

// The digests of many messages, in groups that are hashed side by side. Allocates nothing.
void sha256_many(const Sha256Kernel& kernel, const DigestMessage* messages, std::size_t count) noexcept;

}  // namespace sigil
