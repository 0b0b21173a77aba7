// 64 bytes of text at a time, without vector instructions.
// Included inside the namespace of a level, behind the standard headers.
// A block is eight words; a byte is compared with all eight bytes of a word at once, and a
// product gathers their top bits (Warren, "Hacker's Delight", 2002, chapter 6). 235 cycles a
// block of compact events, 590 of indented ones on Zen 3, measured as for json_block_avx2.h.
// Why not fewer: 909 and 2,318 instructions, about 4 of which start in a cycle.

class Block {
  public:
    explicit SIGIL_INLINE Block(const std::uint8_t* bytes) noexcept {
        for (int i = 0; i < 8; ++i) words_[i] = load_little_endian(bytes + 8 * i);
    }

    // Bit i of a mask tells about byte i.
    SIGIL_INLINE std::uint64_t quotes() const noexcept { return equal('"'); }
    SIGIL_INLINE std::uint64_t backslashes() const noexcept { return equal('\\'); }
    SIGIL_INLINE std::uint64_t spaces() const noexcept { return equal(' '); }
    // Those below 0x20.
    SIGIL_INLINE std::uint64_t controls() const noexcept {
        return gather([](std::uint64_t word) { return ~(((word & kLow) + ones(0x60)) | word); });
    }
    // White space other than ' ': \t \n \r.
    SIGIL_INLINE std::uint64_t line_spaces() const noexcept { return equal('\t') | equal('\n') | equal('\r'); }
    SIGIL_INLINE std::uint64_t not_ascii() const noexcept {
        return gather([](std::uint64_t word) { return word; });
    }

    // { } [ ] : , "
    SIGIL_INLINE std::uint64_t punctuation() const noexcept {
        return equal('{') | equal('}') | equal('[') | equal(']') | equal(':') | equal(',') | equal('"');
    }

    SIGIL_INLINE void store(std::uint8_t* out) const noexcept {
        for (int i = 0; i < 8; ++i) {
            for (int j = 0; j < 8; ++j) out[8 * i + j] = static_cast<std::uint8_t>(words_[i] >> (8 * j));
        }
    }

  private:
    static constexpr std::uint64_t ones(std::uint64_t byte) { return byte * 0x0101010101010101u; }
    static constexpr std::uint64_t kLow = 0x7F7F7F7F7F7F7F7Fu;

    SIGIL_INLINE std::uint64_t equal(std::uint8_t byte) const noexcept {
        const std::uint64_t pattern = ones(byte);
        return gather([pattern](std::uint64_t word) {
            const std::uint64_t difference = word ^ pattern;
            return ~(((difference & kLow) + kLow) | difference);
        });
    }

    // Collects the top bit of every byte of `predicate(word)`.
    template <class Predicate>
    SIGIL_INLINE std::uint64_t gather(Predicate predicate) const noexcept {
        std::uint64_t mask = 0;
        for (int i = 0; i < 8; ++i) {
            const std::uint64_t tops = (predicate(words_[i]) & ones(0x80)) >> 7;
            mask |= (tops * 0x0102040810204080u >> 56) << (8 * i);
        }
        return mask;
    }

    std::uint64_t words_[8];
};

// Of the 32 bytes at `text`: which are digits, which are points.
SIGIL_INLINE void number_masks(const std::uint8_t* text, std::uint32_t& digits, std::uint32_t& points) noexcept {
    digits = points = 0;
    for (std::uint32_t i = 0; i < 32; ++i) {
        const bool digit = static_cast<std::uint8_t>(text[i] - '0') < 10;
        const bool point = text[i] == '.';
        digits |= static_cast<std::uint32_t>(digit) << i;
        points |= static_cast<std::uint32_t>(point) << i;
        if (!digit && !point) break;
    }
}

// Every bit tells whether the number of ones at and below it is odd.
SIGIL_INLINE std::uint64_t prefix_parity(std::uint64_t bits) noexcept {
    for (int shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
    return bits;
}

#define SIGIL_COPIES_BY_CALL
SIGIL_INLINE void copy64(std::uint8_t* out, const std::uint8_t* in) noexcept { std::memcpy(out, in, 64); }
