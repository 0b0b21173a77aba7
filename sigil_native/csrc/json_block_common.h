// Parts of a level that no vector instructions help much, or only sometimes.
// Included inside the namespace of a level, after its Block.

#ifndef SIGIL_OWN_PLACES
// Writes the places of the bits of `mask`, counted from `base`. May store
// kPlaceSlack values more than there are.
SIGIL_INLINE void note_places(std::uint32_t* out, std::uint32_t base, std::uint64_t mask) noexcept {
    const std::uint32_t count = count_bits(mask);
    // Sixteen at once without a branch on each: a block of JSON has about that many.
    // Once the mask is used up, lowest_bit's result is stored but not used.
    for (std::uint32_t done = 0; done < count; done += 8) {
        for (int i = 0; i < 8; ++i) {
            out[i] = base + lowest_bit(mask | std::uint64_t{1} << 63);
            mask &= mask - 1;
        }
        out += 8;
    }
}
#endif

// At most this many keys are ranked by comparing each with each.
#ifdef SIGIL_OWN_RANKS
constexpr std::uint32_t kFew = 128;
#else
constexpr std::uint32_t kFew = 64;
#endif

// Keys that rank_keys may read behind the last, and ranks that it may write there.
constexpr std::uint32_t kRankSlack = 16;

#ifndef SIGIL_OWN_RANKS
// ranks[i] becomes the number of keys below keys[i].
SIGIL_INLINE void rank_keys(const std::int64_t* keys, std::uint32_t count, std::uint32_t* ranks) noexcept {
    for (std::uint32_t i = 0; i < count; ++i) {
        std::uint32_t rank = 0;
        for (std::uint32_t j = 0; j < count; ++j) rank += keys[j] < keys[i];
        ranks[i] = rank;
    }
}
#endif
