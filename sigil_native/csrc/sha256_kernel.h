// What a SHA-256 kernel is, and the pieces that the kernels share (FIPS 180-4).
#pragma once

#include <cstddef>
#include <cstdint>

namespace sigil {

constexpr std::size_t kBlockSize = 64;
constexpr std::size_t kDigestSize = 32;

// A message cut into blocks: those that lie whole in the caller's memory, and
// the last one or two, which hold its rest and the padding.
struct PaddedMessage {
    const std::uint8_t* data;
    std::size_t whole;
    std::size_t total;
    // The first block is only room to write to: see pad_message().
    alignas(16) std::uint8_t room[3 * kBlockSize];

    std::uint8_t* tail() noexcept { return room + kBlockSize; }
    const std::uint8_t* tail() const noexcept { return room + kBlockSize; }

    const std::uint8_t* block(std::size_t index) const noexcept {
        return index < whole ? data + index * kBlockSize : tail() + (index - whole) * kBlockSize;
    }
};

// Blocks that a message needs with its padding: one bit and a length of 64 bits.
constexpr std::size_t padded_blocks(std::size_t size) noexcept { return (size + 8) / kBlockSize + 1; }

// Reads nothing outside data[0, size). `hashed_before`: bytes already in the state.
void pad_message(const std::uint8_t* data, std::size_t size, std::size_t hashed_before,
                 PaddedMessage& message) noexcept;

// The states after the inner and the outer key block of HMAC: all that signing
// needs of a key. Copied for each message, never computed again.
struct HmacState {
    std::uint32_t inner[8];
    std::uint32_t outer[8];
};

// States and midstates are eight words in host order, the same for all kernels.
struct Sha256Kernel {
    const char* name;
    // Whether this processor and system can run the kernel.
    bool (*usable)() noexcept;
    void (*compress)(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) noexcept;
    // Optional (else made from `compress`): a whole HMAC, and two of them interleaved.
    void (*hmac)(const HmacState& key, const PaddedMessage& message, std::uint8_t* tag) noexcept;
    void (*hmac_two)(const HmacState& key, const PaddedMessage& first, const PaddedMessage& second,
                     std::uint8_t* first_tag, std::uint8_t* second_tag) noexcept;
    // Optional: 1 to 16 HMACs side by side, the messages in ascending order of their blocks.
    void (*hmac_sixteen)(const HmacState& key, const PaddedMessage* messages, std::uint8_t* const* tags,
                         std::size_t count) noexcept;
    // Optional: what is left of two messages, interleaved, from block `from` of each on.
    void (*hash_two)(std::uint32_t* first_state, std::uint32_t* second_state, const PaddedMessage& first,
                     const PaddedMessage& second, std::size_t from) noexcept;
    // Optional: 1 to 16 digests side by side, the messages as for `hmac_sixteen`.
    void (*hash_sixteen)(const PaddedMessage* messages, std::uint8_t* const* digests, std::size_t count) noexcept;
};

// Null where the kernel is not compiled for this architecture.
extern const Sha256Kernel* const kSha256Portable;
extern const Sha256Kernel* const kSha256ShaNi;
extern const Sha256Kernel* const kSha256Avx512;
extern const Sha256Kernel* const kSha256Armv8;

// FIPS 180-4 §5.3.3 and §4.2.2: the first bits of the fractional parts of the
// square roots of the first 8 and of the cube roots of the first 64 primes.
inline constexpr std::uint32_t kInitialState[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};
alignas(64) inline constexpr std::uint32_t kRoundConstants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

inline std::uint32_t load_be32(const std::uint8_t* from) noexcept {
    return std::uint32_t{from[0]} << 24 | std::uint32_t{from[1]} << 16 | std::uint32_t{from[2]} << 8 |
           std::uint32_t{from[3]};
}

inline void store_be32(std::uint32_t word, std::uint8_t* to) noexcept {
    to[0] = static_cast<std::uint8_t>(word >> 24);
    to[1] = static_cast<std::uint8_t>(word >> 16);
    to[2] = static_cast<std::uint8_t>(word >> 8);
    to[3] = static_cast<std::uint8_t>(word);
}

inline void store_state(const std::uint32_t* state, std::uint8_t* digest) noexcept {
    for (int i = 0; i < 8; ++i) store_be32(state[i], digest + 4 * i);
}

}  // namespace sigil
