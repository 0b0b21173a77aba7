// 64 bytes of text at a time, with NEON, which every 64-bit ARM processor has.
// Included inside the namespace of a level. See json_block_portable.h.
// ARM has no instruction that gathers a bit of every byte. Instead each true byte keeps
// one bit, by its place among eight, and three rounds of adding neighbours bring 64 bytes
// down to the 8 of a mask (Langdale and Lemire, "Parsing Gigabytes of JSON per Second",
// 2019, for simdjson). 4 ands and 4 pairwise additions a mask, where AVX2 takes 2
// instructions: the price of a block is that of its masks.
// By LLVM's models 51 cycles a block without white space on an Exynos M5, 102 on a
// Cortex-A57; not measured. Why not fewer: 237 instructions, of which the one core starts 5
// in a cycle at best, the other 3; a quarter of them are for the five masks.

class Block {
  public:
    explicit SIGIL_INLINE Block(const std::uint8_t* bytes) noexcept {
        for (int i = 0; i < 4; ++i) parts_[i] = vld1q_u8(bytes + 16 * i);
    }

    SIGIL_INLINE std::uint64_t quotes() const noexcept { return equal('"'); }
    SIGIL_INLINE std::uint64_t backslashes() const noexcept { return equal('\\'); }
    SIGIL_INLINE std::uint64_t spaces() const noexcept { return equal(' '); }
    SIGIL_INLINE std::uint64_t controls() const noexcept {
        return gather([](uint8x16_t part) { return vcltq_u8(part, vdupq_n_u8(0x20)); });
    }
    SIGIL_INLINE std::uint64_t line_spaces() const noexcept {
        return gather([](uint8x16_t part) {
            return vorrq_u8(match(part, '\t'), vorrq_u8(match(part, '\n'), match(part, '\r')));
        });
    }
    SIGIL_INLINE std::uint64_t not_ascii() const noexcept {
        return gather([](uint8x16_t part) { return vcgeq_u8(part, vdupq_n_u8(0x80)); });
    }

    // { } [ ] : , "
    SIGIL_INLINE std::uint64_t punctuation() const noexcept {
        return gather([](uint8x16_t part) {
            // { and [, } and ] differ in one bit.
            const uint8x16_t folded = vorrq_u8(part, vdupq_n_u8(0x20));
            const uint8x16_t brackets = vorrq_u8(match(folded, '{'), match(folded, '}'));
            const uint8x16_t others = vorrq_u8(match(part, ':'), match(part, ','));
            return vorrq_u8(vorrq_u8(brackets, others), match(part, '"'));
        });
    }

    SIGIL_INLINE void store(std::uint8_t* out) const noexcept {
        for (int i = 0; i < 4; ++i) vst1q_u8(out + 16 * i, parts_[i]);
    }

    // Bit i of the result is a bit of byte i of the four vectors, whose bytes are 0 or 0xFF.
    static SIGIL_INLINE std::uint64_t bits_of(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) noexcept {
        const uint8x16_t places = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
        const uint8x16_t low = vpaddq_u8(vandq_u8(a, places), vandq_u8(b, places));
        const uint8x16_t high = vpaddq_u8(vandq_u8(c, places), vandq_u8(d, places));
        const uint8x16_t all = vpaddq_u8(low, high);
        return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
    }

  private:
    static SIGIL_INLINE uint8x16_t match(uint8x16_t bytes, char byte) noexcept {
        return vceqq_u8(bytes, vdupq_n_u8(static_cast<std::uint8_t>(byte)));
    }
    SIGIL_INLINE std::uint64_t equal(char byte) const noexcept {
        return gather([byte](uint8x16_t part) { return match(part, byte); });
    }

    template <class Predicate>
    SIGIL_INLINE std::uint64_t gather(Predicate predicate) const noexcept {
        return bits_of(predicate(parts_[0]), predicate(parts_[1]), predicate(parts_[2]), predicate(parts_[3]));
    }

    uint8x16_t parts_[4];
};

// Both masks in one: 32 bytes of digits, 32 of points.
SIGIL_INLINE void number_masks(const std::uint8_t* text, std::uint32_t& digits, std::uint32_t& points) noexcept {
    uint8x16_t digit[2], point[2];
    for (int i = 0; i < 2; ++i) {
        const uint8x16_t part = vld1q_u8(text + 16 * i);
        digit[i] = vcltq_u8(vsubq_u8(part, vdupq_n_u8('0')), vdupq_n_u8(10));
        point[i] = vceqq_u8(part, vdupq_n_u8('.'));
    }
    const std::uint64_t both = Block::bits_of(digit[0], digit[1], point[0], point[1]);
    digits = static_cast<std::uint32_t>(both);
    points = static_cast<std::uint32_t>(both >> 32);
}

// The product without carries that x86 uses is in an extension that some cores lack.
SIGIL_INLINE std::uint64_t prefix_parity(std::uint64_t bits) noexcept {
    for (int shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
    return bits;
}

SIGIL_INLINE void copy64(std::uint8_t* out, const std::uint8_t* in) noexcept { Block(in).store(out); }
