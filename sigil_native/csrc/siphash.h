// SipHash-1-3 with a 64-bit result (Aumasson, Bernstein 2012; the short form that hash tables use): without
// the key nobody can tell which texts collide, or where in a table a text lands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sigil {

struct SipKey {
    std::uint64_t low;
    std::uint64_t high;
};

namespace sip {

struct State {
    std::uint64_t v0, v1, v2, v3;

    static std::uint64_t rotated(std::uint64_t word, int bits) noexcept {
        return word << bits | word >> (64 - bits);
    }

    void round() noexcept {
        v0 += v1;
        v2 += v3;
        v1 = rotated(v1, 13) ^ v0;
        v3 = rotated(v3, 16) ^ v2;
        v0 = rotated(v0, 32);
        v2 += v1;
        v0 += v3;
        v1 = rotated(v1, 17) ^ v2;
        v3 = rotated(v3, 21) ^ v0;
        v2 = rotated(v2, 32);
    }

    void absorb(std::uint64_t word) noexcept {
        v3 ^= word;
        round();
        v0 ^= word;
    }
};

// The algorithm reads little-endian words. On other machines these are as good for a table in memory: they
// are another hash function of the same kind.
inline std::uint64_t word_at(const std::uint8_t* data) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, data, sizeof word);
    return word;
}

// The last 0 to 7 bytes, and the size in the top byte.
inline std::uint64_t last_word(const std::uint8_t* data, std::size_t size) noexcept {
    const std::uint64_t tag = static_cast<std::uint64_t>(size) << 56;
    const std::size_t count = size & 7;
    const std::uint8_t* const rest = data + (size - count);
    if (count == 0) return tag;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    // The eight bytes that end with the text, less those that are hashed already.
    if (size >= 8) return tag | word_at(rest + count - 8) >> (64 - 8 * count);
#endif
    std::uint64_t word = 0;
    for (std::size_t i = count; i != 0; --i) word = word << 8 | rest[i - 1];
    return tag | word;
}

}  // namespace sip

inline std::uint64_t siphash(const SipKey& key, const std::uint8_t* data, std::size_t size) noexcept {
    sip::State state{key.low ^ 0x736f6d6570736575U, key.high ^ 0x646f72616e646f6dU, key.low ^ 0x6c7967656e657261U,
                     key.high ^ 0x7465646279746573U};
    const std::uint64_t last = sip::last_word(data, size);
    for (const std::uint8_t* const rest = data + (size & ~std::size_t{7}); data != rest; data += 8) {
        state.absorb(sip::word_at(data));
    }
    state.absorb(last);
    state.v2 ^= 0xff;
    state.round();
    state.round();
    state.round();
    return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace sigil
