// 64 bytes of text at a time, with AVX2.
// Included inside the namespace of a level. See json_block_portable.h.
// A block is two registers, so that a mask is two comparisons, two gatherings of the top
// bits and a join. White space is dropped by shuffles from a table with a row for each
// mask of eight bytes (as in simdjson's minify), quotes are noted by clearing the lowest
// bit, sixteen at a time without a branch, and parity inside strings is a product without
// carries (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", 2019).
// 57 cycles a block of compact events, 80 of indented ones on Zen 3, of which 12 and 7 bytes
// are quotes (rdtsc, in terms of a chain of additions). Why not fewer: they are 190 and 391
// instructions, about 4 of which start in a cycle. AVX2 has neither masks nor compression, so
// that noting quotes one by one takes 70 of them, and white space a shuffle for 8 bytes.

class Block {
  public:
    explicit SIGIL_INLINE Block(const std::uint8_t* bytes) noexcept
        : low_(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes))),
          high_(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 32))) {}

    SIGIL_INLINE std::uint64_t quotes() const noexcept { return equal('"'); }
    SIGIL_INLINE std::uint64_t backslashes() const noexcept { return equal('\\'); }
    SIGIL_INLINE std::uint64_t spaces() const noexcept { return equal(' '); }
    SIGIL_INLINE std::uint64_t controls() const noexcept {
        const __m256i most = _mm256_set1_epi8(0x1F);
        return join(_mm256_cmpeq_epi8(_mm256_min_epu8(low_, most), low_),
                    _mm256_cmpeq_epi8(_mm256_min_epu8(high_, most), high_));
    }
    SIGIL_INLINE std::uint64_t line_spaces() const noexcept { return equal('\t') | equal('\n') | equal('\r'); }
    SIGIL_INLINE std::uint64_t not_ascii() const noexcept { return join(low_, high_); }

    // { } [ ] : , "
    SIGIL_INLINE std::uint64_t punctuation() const noexcept {
        return join(punctuation(low_), punctuation(high_));
    }

    SIGIL_INLINE void store(std::uint8_t* out) const noexcept {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), low_);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32), high_);
    }

  private:
    static SIGIL_INLINE __m256i match(__m256i bytes, char byte) noexcept {
        return _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte));
    }
    static SIGIL_INLINE __m256i punctuation(__m256i bytes) noexcept {
        // { and [, } and ] differ in one bit.
        const __m256i folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        const __m256i brackets = _mm256_or_si256(match(folded, '{'), match(folded, '}'));
        return _mm256_or_si256(_mm256_or_si256(brackets, match(bytes, '"')),
                               _mm256_or_si256(match(bytes, ':'), match(bytes, ',')));
    }
    static SIGIL_INLINE std::uint64_t join(__m256i low, __m256i high) noexcept {
        return static_cast<std::uint32_t>(_mm256_movemask_epi8(low)) |
               static_cast<std::uint64_t>(static_cast<std::uint32_t>(_mm256_movemask_epi8(high))) << 32;
    }
    SIGIL_INLINE std::uint64_t equal(char byte) const noexcept {
        return join(match(low_, byte), match(high_, byte));
    }

    __m256i low_, high_;
};

SIGIL_INLINE void number_masks(const std::uint8_t* text, std::uint32_t& digits, std::uint32_t& points) noexcept {
    const __m256i part = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
    const __m256i above = _mm256_sub_epi8(part, _mm256_set1_epi8('0'));
    const __m256i digit = _mm256_cmpeq_epi8(_mm256_min_epu8(above, _mm256_set1_epi8(9)), above);
    digits = static_cast<std::uint32_t>(_mm256_movemask_epi8(digit));
    points = static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(part, _mm256_set1_epi8('.'))));
}

// A product without carries by all ones adds up, modulo 2, all lower bits.
SIGIL_INLINE std::uint64_t prefix_parity(std::uint64_t bits) noexcept {
    const __m128i factor = _mm_cvtsi64_si128(static_cast<long long>(bits));
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_clmulepi64_si128(factor, _mm_set1_epi8(-1), 0)));
}

SIGIL_INLINE void copy64(std::uint8_t* out, const std::uint8_t* in) noexcept { Block(in).store(out); }

#define SIGIL_SHORT_COPY
constexpr std::uint32_t kShortCopy = 32;
SIGIL_INLINE void copy_short(std::uint8_t* out, const std::uint8_t* in) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in)));
}

#define SIGIL_LOWEST_BIT_OR_ANY
SIGIL_INLINE std::uint32_t lowest_bit_or_any(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(_tzcnt_u64(word));
}

#define SIGIL_RANK_KEYS
// Sixteen keys at a time against each key in turn.
SIGIL_INLINE void rank_keys(const std::int64_t* keys, std::uint32_t count, std::uint32_t* ranks) noexcept {
    for (std::uint32_t first = 0; first < count; first += 16) {
        __m256i mine[4], below[4];
        for (int i = 0; i < 4; ++i) {
            mine[i] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(keys + first + 4 * i));
            below[i] = _mm256_setzero_si256();
        }
        for (std::uint32_t j = 0; j < count; ++j) {
            const __m256i other = _mm256_set1_epi64x(keys[j]);
            for (int i = 0; i < 4; ++i) below[i] = _mm256_sub_epi64(below[i], _mm256_cmpgt_epi64(mine[i], other));
        }
        const __m256i evens = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
        for (int i = 0; i < 4; ++i) {
            const __m256i narrow = _mm256_permutevar8x32_epi32(below[i], evens);
            _mm_storeu_si128(reinterpret_cast<__m128i*>(ranks + first + 4 * i), _mm256_castsi256_si128(narrow));
        }
    }
}

#define SIGIL_SQUEEZE_BLOCK
// For each byte of a mask, where the bytes that it keeps come from.
struct SqueezeTable {
    alignas(8) std::uint8_t sources[256][8] = {};
    constexpr SqueezeTable() {
        for (int mask = 0; mask < 256; ++mask) {
            int count = 0;
            for (int bit = 0; bit < 8; ++bit) {
                if ((mask >> bit & 1) != 0) sources[mask][count++] = static_cast<std::uint8_t>(bit);
            }
        }
    }
};
constexpr SqueezeTable kSqueezeTable;

// Writes the kept bytes, eight at a time.
SIGIL_INLINE void squeeze_block(const Block& block, std::uint8_t* out, const BlockMasks& masks) noexcept {
    std::uint8_t bytes[64];
    block.store(bytes);
    for (int i = 0; i < 8; ++i) {
        const auto keep = static_cast<std::uint8_t>(masks.keep >> (8 * i));
        const __m128i eight = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + 8 * i));
        const __m128i sources = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kSqueezeTable.sources[keep]));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(eight, sources));
        out += count_bits(keep);
    }
}

#define SIGIL_NOTE_PLACES
// Writes the places of the bits of `mask`, counted from `base`, gaps in `keep`
// left out. BMI2 could squeeze the mask at once, but takes hundreds of cycles on
// Zen 2 and older. May store eight values more than there are.
SIGIL_INLINE void note_places(std::uint32_t* out, std::uint32_t base, std::uint64_t mask,
                              std::uint64_t keep) noexcept {
    const std::uint32_t count = count_bits(mask);
    for (std::uint32_t done = 0; done < count; done += 8) {
        for (int i = 0; i < 8; ++i) {
            std::uint32_t place = base + count_bits(keep & (mask - 1) & ~mask);
            // Kept from gathering the places in a vector first, which is slower.
            __asm__("" : "+r"(place));
            *out++ = place;
            mask &= mask - 1;
        }
    }
}
