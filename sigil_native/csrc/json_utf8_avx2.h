// Whether text is UTF-8, 32 bytes at a time, with AVX2; the AVX-512 level has it too.
// Included inside the namespace of a level.
// Three look-ups, one instruction each for all bytes, say which rules each breaks together with the byte before it:
// json_utf8_rules.h. No branch depends on the text: where characters of several bytes stand is hard to foresee.

#define SIGIL_CHECK_UTF8
class Utf8Check {
  public:
    // What comes before the first bytes is ASCII.
    SIGIL_INLINE Utf8Check() noexcept
        : before_(_mm256_setzero_si256()), broken_(_mm256_setzero_si256()), highest_(_mm256_setzero_si256()) {}

    // The next 32 bytes.
    SIGIL_INLINE void add(const std::uint8_t* bytes) noexcept {
        const __m256i now = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
        const __m256i across = _mm256_permute2x128_si256(before_, now, 0x21);
        const __m256i one_back = _mm256_alignr_epi8(now, across, 15);
        const __m256i two_back = _mm256_alignr_epi8(now, across, 14);
        const __m256i three_back = _mm256_alignr_epi8(now, across, 13);
        const __m256i rules = _mm256_and_si256(
            _mm256_and_si256(look_up(Utf8Rules::kUpperBefore, upper(one_back)),
                             look_up(Utf8Rules::kLowerBefore, _mm256_and_si256(one_back, _mm256_set1_epi8(0x0F)))),
            look_up(Utf8Rules::kUpper, upper(now)));
        // The top bit where three bytes or more must have begun two back, or four three back.
        const __m256i third = _mm256_subs_epu8(two_back, _mm256_set1_epi8(Utf8Rules::kBelowThree));
        const __m256i fourth = _mm256_subs_epu8(three_back, _mm256_set1_epi8(Utf8Rules::kBelowFour));
        const __m256i two_continue = _mm256_set1_epi8(static_cast<char>(Utf8Rules::kTwoContinue));
        const __m256i goes_on = _mm256_and_si256(_mm256_or_si256(third, fourth), two_continue);
        broken_ = _mm256_or_si256(broken_, _mm256_xor_si256(rules, goes_on));
        highest_ = _mm256_max_epu8(highest_, now);
        before_ = now;
    }

    SIGIL_INLINE bool holds() const noexcept { return _mm256_testz_si256(broken_, broken_) != 0; }
    SIGIL_INLINE bool has_at_least(std::uint8_t byte) const noexcept {
        const __m256i least = _mm256_set1_epi8(static_cast<char>(byte));
        return _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_max_epu8(highest_, least), highest_)) != 0;
    }

  private:
    static SIGIL_INLINE __m256i look_up(const std::uint8_t* table, __m256i halves) noexcept {
        const __m128i row = _mm_load_si128(reinterpret_cast<const __m128i*>(table));
        return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(row), halves);
    }
    static SIGIL_INLINE __m256i upper(__m256i bytes) noexcept {
        return _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F));
    }

    __m256i before_;
    __m256i broken_;
    __m256i highest_;
};
