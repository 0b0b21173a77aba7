// Whether text is UTF-8, 32 bytes at a time, with NEON.
// Included inside the namespace of a level. See json_utf8_avx2.h and json_utf8_rules.h.
// Unlike there, one branch depends on the text: ASCII behind ASCII breaks no rule and is passed by. NEON's instructions
// do half of what AVX2's do, and many cores start two in a cycle: with look-ups for ASCII too, a Cortex-A57 would need
// three times as long for it as by words of eight bytes.
// 32 bytes take 57 instructions where not all are ASCII, otherwise 9 (GCC 12, counted under emulation). A character at
// a time took about 400 in Chinese, 350 in Cyrillic, 94 in German, 24 in ASCII. By LLVM's models, and if the branch is
// foreseen, 10 and 2 cycles on an Exynos M5, 29 and 4 on a Cortex-A57; no ARM machine measured it. Why not fewer: 36 of
// the 57 are for the rules, and 10 bring constants back that the loop over ASCII does not keep.

#define SIGIL_CHECK_UTF8
class Utf8Check {
  public:
    // What comes before the first bytes is ASCII.
    SIGIL_INLINE Utf8Check() noexcept : before_(vdupq_n_u8(0)), broken_(vdupq_n_u8(0)), highest_(vdupq_n_u8(0)) {}

    // The next 32 bytes.
    SIGIL_INLINE void add(const std::uint8_t* bytes) noexcept {
        const uint8x16_t low = vld1q_u8(bytes);
        const uint8x16_t high = vld1q_u8(bytes + 16);
        if (SIGIL_LIKELY(vmaxvq_u8(vorrq_u8(vorrq_u8(low, high), before_)) < 0x80)) return;
        add_half(low);
        add_half(high);
    }

    SIGIL_INLINE bool holds() const noexcept { return vmaxvq_u8(broken_) == 0; }
    SIGIL_INLINE bool has_at_least(std::uint8_t byte) const noexcept { return vmaxvq_u8(highest_) >= byte; }

  private:
    SIGIL_INLINE void add_half(uint8x16_t now) noexcept {
        const uint8x16_t one_back = vextq_u8(before_, now, 15);
        const uint8x16_t two_back = vextq_u8(before_, now, 14);
        const uint8x16_t three_back = vextq_u8(before_, now, 13);
        const uint8x16_t rules =
            vandq_u8(vandq_u8(look_up(Utf8Rules::kUpperBefore, vshrq_n_u8(one_back, 4)),
                              look_up(Utf8Rules::kLowerBefore, vandq_u8(one_back, vdupq_n_u8(0x0F)))),
                     look_up(Utf8Rules::kUpper, vshrq_n_u8(now, 4)));
        // The top bit where three bytes or more must have begun two back, or four three back.
        const uint8x16_t third = vqsubq_u8(two_back, vdupq_n_u8(Utf8Rules::kBelowThree));
        const uint8x16_t fourth = vqsubq_u8(three_back, vdupq_n_u8(Utf8Rules::kBelowFour));
        const uint8x16_t goes_on = vandq_u8(vorrq_u8(third, fourth), vdupq_n_u8(Utf8Rules::kTwoContinue));
        broken_ = vorrq_u8(broken_, veorq_u8(rules, goes_on));
        highest_ = vmaxq_u8(highest_, now);
        before_ = now;
    }

    static SIGIL_INLINE uint8x16_t look_up(const std::uint8_t* table, uint8x16_t halves) noexcept {
        return vqtbl1q_u8(vld1q_u8(table), halves);
    }

    uint8x16_t before_;
    uint8x16_t broken_;
    uint8x16_t highest_;
};
