// 64 bytes of text at a time, with what every x86-64 processor has.
// Included inside the namespace of a level. See json_block_portable.h.
// A block is four registers, each mask a comparison and a gathering of top bits for each
// of them. 91 cycles a block of compact events, 240 of indented ones on Zen 3, measured as
// for json_block_avx2.h. Why not fewer: 352 and 990 instructions, about 4 of which start in a
// cycle. SSE2 has no shuffle of bytes, so that white space is dropped run by run.

class Block {
  public:
    explicit SIGIL_INLINE Block(const std::uint8_t* bytes) noexcept {
        for (int i = 0; i < 4; ++i) parts_[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * i));
    }

    SIGIL_INLINE std::uint64_t quotes() const noexcept { return equal('"'); }
    SIGIL_INLINE std::uint64_t backslashes() const noexcept { return equal('\\'); }
    SIGIL_INLINE std::uint64_t spaces() const noexcept { return equal(' '); }
    SIGIL_INLINE std::uint64_t controls() const noexcept {
        return gather([](__m128i part) { return _mm_cmpeq_epi8(_mm_min_epu8(part, _mm_set1_epi8(0x1F)), part); });
    }
    SIGIL_INLINE std::uint64_t line_spaces() const noexcept { return equal('\t') | equal('\n') | equal('\r'); }
    SIGIL_INLINE std::uint64_t not_ascii() const noexcept {
        return gather([](__m128i part) { return part; });
    }

    // { } [ ] : , "
    SIGIL_INLINE std::uint64_t punctuation() const noexcept {
        return equal('{') | equal('}') | equal('[') | equal(']') | equal(':') | equal(',') | equal('"');
    }

    SIGIL_INLINE void store(std::uint8_t* out) const noexcept {
        for (int i = 0; i < 4; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * i), parts_[i]);
    }

  private:
    SIGIL_INLINE std::uint64_t equal(char byte) const noexcept {
        return gather([byte](__m128i part) { return _mm_cmpeq_epi8(part, _mm_set1_epi8(byte)); });
    }

    template <class Predicate>
    SIGIL_INLINE std::uint64_t gather(Predicate predicate) const noexcept {
        std::uint64_t mask = 0;
        for (int i = 3; i >= 0; --i) {
            mask = mask << 16 | static_cast<std::uint32_t>(_mm_movemask_epi8(predicate(parts_[i])));
        }
        return mask;
    }

    __m128i parts_[4];
};

SIGIL_INLINE void number_masks(const std::uint8_t* text, std::uint32_t& digits, std::uint32_t& points) noexcept {
    digits = points = 0;
    for (int i = 1; i >= 0; --i) {
        const __m128i part = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + 16 * i));
        const __m128i above = _mm_sub_epi8(part, _mm_set1_epi8('0'));
        const __m128i digit = _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(9)), above);
        const __m128i point = _mm_cmpeq_epi8(part, _mm_set1_epi8('.'));
        digits = digits << 16 | static_cast<std::uint32_t>(_mm_movemask_epi8(digit));
        points = points << 16 | static_cast<std::uint32_t>(_mm_movemask_epi8(point));
    }
}

SIGIL_INLINE std::uint64_t prefix_parity(std::uint64_t bits) noexcept {
    for (int shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
    return bits;
}

SIGIL_INLINE void copy64(std::uint8_t* out, const std::uint8_t* in) noexcept { Block(in).store(out); }
