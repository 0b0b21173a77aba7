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
inline std::uint64_t last_word(const std::uint8_t* rest, std::size_t size) noexcept {
    std::uint64_t word = static_cast<std::uint64_t>(size) << 56;
    switch (size & 7) {
        case 7: word |= static_cast<std::uint64_t>(rest[6]) << 48; [[fallthrough]];
        case 6: word |= static_cast<std::uint64_t>(rest[5]) << 40; [[fallthrough]];
        case 5: word |= static_cast<std::uint64_t>(rest[4]) << 32; [[fallthrough]];
        case 4: word |= static_cast<std::uint64_t>(rest[3]) << 24; [[fallthrough]];
        case 3: word |= static_cast<std::uint64_t>(rest[2]) << 16; [[fallthrough]];
        case 2: word |= static_cast<std::uint64_t>(rest[1]) << 8; [[fallthrough]];
        case 1: word |= rest[0]; break;
        default: break;
    }
    return word;
}

}  // namespace sip

inline std::uint64_t siphash(const SipKey& key, const std::uint8_t* data, std::size_t size) noexcept {
    sip::State state{key.low ^ 0x736f6d6570736575U, key.high ^ 0x646f72616e646f6dU, key.low ^ 0x6c7967656e657261U,
                     key.high ^ 0x7465646279746573U};
    const std::uint8_t* const rest = data + (size & ~std::size_t{7});
    for (; data != rest; data += 8) state.absorb(sip::word_at(data));
    state.absorb(sip::last_word(rest, size));
    state.v2 ^= 0xff;
    state.round();
    state.round();
    state.round();
    return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace sigil
