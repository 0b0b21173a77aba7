// 64 bytes of text at a time, with AVX-512 as Ice Lake and Zen 4 have it.
// Included inside the namespace of a level. See json_block_portable.h.
// A block is one register, and a comparison gives its mask of 64 bits at once. Compression
// of bytes (VBMI2) does two things that other levels do in loops: it drops white space from
// a block, and it turns a mask into the places of its bits, as the numbers 0 to 63 under
// that mask. The parity inside strings is a product without carries (Langdale and Lemire,
// "Parsing Gigabytes of JSON per Second", 2019).
// By LLVM's model of Ice Lake 13 cycles a block without white space, 30 a block from which
// some is dropped; not measured. Why not fewer: only one port takes comparisons into masks
// and the two halves of a compression, and it is busy in 11 and 22 of these cycles.

class Block {
  public:
    explicit SIGIL_INLINE Block(const std::uint8_t* bytes) noexcept : bytes_(_mm512_loadu_si512(bytes)) {}

    SIGIL_INLINE std::uint64_t quotes() const noexcept { return equal('"'); }
    SIGIL_INLINE std::uint64_t backslashes() const noexcept { return equal('\\'); }
    SIGIL_INLINE std::uint64_t spaces() const noexcept { return equal(' '); }
    SIGIL_INLINE std::uint64_t controls() const noexcept {
        return _mm512_cmplt_epu8_mask(bytes_, _mm512_set1_epi8(0x20));
    }
    SIGIL_INLINE std::uint64_t line_spaces() const noexcept { return equal('\t') | equal('\n') | equal('\r'); }
    SIGIL_INLINE std::uint64_t not_ascii() const noexcept { return _mm512_movepi8_mask(bytes_); }
    // { } [ ] : , "
    SIGIL_INLINE std::uint64_t punctuation() const noexcept {
        const __m512i folded = _mm512_or_si512(bytes_, _mm512_set1_epi8(0x20));
        return _mm512_cmpeq_epi8_mask(folded, _mm512_set1_epi8('{')) |
               _mm512_cmpeq_epi8_mask(folded, _mm512_set1_epi8('}')) | equal(':') | equal(',') | equal('"');
    }

    SIGIL_INLINE void store(std::uint8_t* out) const noexcept { _mm512_storeu_si512(out, bytes_); }
    SIGIL_INLINE void store_kept(std::uint8_t* out, std::uint64_t keep) const noexcept {
        _mm512_storeu_si512(out, _mm512_maskz_compress_epi8(keep, bytes_));
    }

  private:
    SIGIL_INLINE std::uint64_t equal(char byte) const noexcept {
        return _mm512_cmpeq_epi8_mask(bytes_, _mm512_set1_epi8(byte));
    }

    __m512i bytes_;
};

SIGIL_INLINE void number_masks(const std::uint8_t* text, std::uint32_t& digits, std::uint32_t& points) noexcept {
    const __m256i part = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
    digits = _mm256_cmplt_epu8_mask(_mm256_sub_epi8(part, _mm256_set1_epi8('0')), _mm256_set1_epi8(10));
    points = _mm256_cmpeq_epi8_mask(part, _mm256_set1_epi8('.'));
}

SIGIL_INLINE std::uint64_t prefix_parity(std::uint64_t bits) noexcept {
    const __m128i factor = _mm_cvtsi64_si128(static_cast<long long>(bits));
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_clmulepi64_si128(factor, _mm_set1_epi8(-1), 0)));
}

SIGIL_INLINE void copy64(std::uint8_t* out, const std::uint8_t* in) noexcept { Block(in).store(out); }

#define SIGIL_SHORT_COPY
constexpr std::uint32_t kShortCopy = 64;
SIGIL_INLINE void copy_short(std::uint8_t* out, const std::uint8_t* in) noexcept { copy64(out, in); }

#define SIGIL_NOTE_PLACES
#define SIGIL_PACK_PLACES
// The numbers of the bits are packed like the bytes 0, 1, 2... under the mask, for all of
// them at once: quicker than one by one where no place has moved, too.
SIGIL_INLINE void note_places(std::uint32_t* out, std::uint32_t base, std::uint64_t mask, std::uint64_t) noexcept {
    const __m512i numbers = _mm512_set_epi64(0x3F3E3D3C3B3A3938, 0x3736353433323130, 0x2F2E2D2C2B2A2928,
                                             0x2726252423222120, 0x1F1E1D1C1B1A1918, 0x1716151413121110,
                                             0x0F0E0D0C0B0A0908, 0x0706050403020100);
    const std::uint32_t count = count_bits(mask);
    const __m512i packed = _mm512_maskz_compress_epi8(mask, numbers);
    const __m512i first = _mm512_set1_epi32(static_cast<int>(base));
    const auto put = [&](int part, __m128i bytes) {
        _mm512_storeu_si512(out + 16 * part, _mm512_add_epi32(first, _mm512_cvtepu8_epi32(bytes)));
    };
    put(0, _mm512_castsi512_si128(packed));
    put(1, _mm512_extracti32x4_epi32(packed, 1));
    if (SIGIL_UNLIKELY(count > 32)) {
        put(2, _mm512_extracti32x4_epi32(packed, 2));
        put(3, _mm512_extracti32x4_epi32(packed, 3));
    }
}

#define SIGIL_RANK_KEYS
SIGIL_INLINE void rank_keys(const std::int64_t* keys, std::uint32_t count, std::uint32_t* ranks) noexcept {
    for (std::uint32_t first = 0; first < count; first += 16) {
        const __m512i low = _mm512_loadu_si512(keys + first), high = _mm512_loadu_si512(keys + first + 8);
        __m512i low_below = _mm512_setzero_si512(), high_below = _mm512_setzero_si512();
        const __m512i one = _mm512_set1_epi64(1);
        for (std::uint32_t j = 0; j < count; ++j) {
            const __m512i other = _mm512_set1_epi64(keys[j]);
            low_below = _mm512_mask_add_epi64(low_below, _mm512_cmpgt_epi64_mask(low, other), low_below, one);
            high_below = _mm512_mask_add_epi64(high_below, _mm512_cmpgt_epi64_mask(high, other), high_below, one);
        }
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(ranks + first), _mm512_cvtepi64_epi32(low_below));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(ranks + first + 8), _mm512_cvtepi64_epi32(high_below));
    }
}

#define SIGIL_SQUEEZE_BLOCK
SIGIL_INLINE void squeeze_block(const Block& block, std::uint8_t* out, BlockMasks& masks) noexcept {
    block.store_kept(out, masks.keep);
    masks.quotes = _pext_u64(masks.quotes, masks.keep);
    masks.escapes = _pext_u64(masks.escapes, masks.keep);
    masks.keep = low_bits(count_bits(masks.keep));
}
