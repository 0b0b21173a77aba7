// SHA-256 in plain C++, straight from FIPS 180-4 §6.2.2: the reference of the
// other kernels and the one for processors without SHA instructions.
// The message schedule is kept in a ring of 16 words; eight rounds are written
// out, so that the working variables change names instead of places.
// 772 cycles a block on Zen 3, 700 to 800 on other x86-64. Why not fewer: a block is
// 4,300 instructions (callgrind), so that 5.6 of the 6 that the processor can start in a
// cycle are; only lanes of vectors, or rounds done by the hardware, need fewer of them.
#include "sha256_kernel.h"

namespace sigil {
namespace {

constexpr std::uint32_t rotate(std::uint32_t word, int by) noexcept { return word >> by | word << (32 - by); }

// One round; the caller rotates the names of the variables.
inline void round(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t& d, std::uint32_t e,
                  std::uint32_t f, std::uint32_t g, std::uint32_t& h, std::uint32_t word) noexcept {
    const std::uint32_t choice = g ^ (e & (f ^ g));
    const std::uint32_t majority = (a & b) | (c & (a | b));
    const std::uint32_t sum = h + word + choice + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25));
    d += sum;
    h = sum + majority + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22));
}

inline std::uint32_t scheduled(std::uint32_t* ring, int t) noexcept {
    const std::uint32_t two = ring[(t - 2) & 15];
    const std::uint32_t fifteen = ring[(t - 15) & 15];
    ring[t & 15] += ring[(t - 7) & 15] + (rotate(two, 17) ^ rotate(two, 19) ^ two >> 10) +
                    (rotate(fifteen, 7) ^ rotate(fifteen, 18) ^ fifteen >> 3);
    return ring[t & 15];
}

void compress(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) noexcept {
    for (; count != 0; --count, blocks += kBlockSize) {
        std::uint32_t ring[16];
        for (int i = 0; i < 16; ++i) ring[i] = load_be32(blocks + 4 * i);
        std::uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        std::uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int t = 0; t < 64; t += 8) {
            const auto word = [&](int i) noexcept {
                return kRoundConstants[t + i] + (t < 16 ? ring[t + i] : scheduled(ring, t + i));
            };
            round(a, b, c, d, e, f, g, h, word(0));
            round(h, a, b, c, d, e, f, g, word(1));
            round(g, h, a, b, c, d, e, f, word(2));
            round(f, g, h, a, b, c, d, e, word(3));
            round(e, f, g, h, a, b, c, d, word(4));
            round(d, e, f, g, h, a, b, c, word(5));
            round(c, d, e, f, g, h, a, b, word(6));
            round(b, c, d, e, f, g, h, a, word(7));
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
    }
}

bool usable() noexcept { return true; }

constexpr Sha256Kernel kKernel = {"portable", usable, compress, nullptr, nullptr, nullptr, nullptr, nullptr};

}  // namespace

const Sha256Kernel* const kSha256Portable = &kKernel;

}  // namespace sigil
