// Parts of a level that no vector instructions help much, or only sometimes.
// Included inside the namespace of a level, after its Block.

#ifndef SIGIL_SHORT_COPY
// Bytes that most members fit in: what is longer than that is copied 64 at a time.
constexpr std::uint32_t kShortCopy = 32;
SIGIL_INLINE void copy_short(std::uint8_t* out, const std::uint8_t* in) noexcept { std::memcpy(out, in, kShortCopy); }
#endif

#ifndef SIGIL_LOWEST_BIT_OR_ANY
// Index of the lowest set bit; any number where there is none.
SIGIL_INLINE std::uint32_t lowest_bit_or_any(std::uint64_t word) noexcept {
    return lowest_bit(word | std::uint64_t{1} << 63);
}
#endif

#ifndef SIGIL_NOTE_PLACES
// Writes the places of the bits of `mask`, counted from `base`; may store eight
// values more than there are. The last argument, the bytes kept, has no gaps.
SIGIL_INLINE void note_places(std::uint32_t* out, std::uint32_t base, std::uint64_t mask, std::uint64_t) noexcept {
    const std::uint32_t count = count_bits(mask);
    // Eight without a branch on each. Once the mask is used up, what is stored is not used.
    for (std::uint32_t done = 0; done < count; done += 8) {
        for (int i = 0; i < 8; ++i) {
            *out++ = base + lowest_bit_or_any(mask);
            mask &= mask - 1;
        }
    }
}
#endif

// At most this many keys are ranked by comparing each with each.
#ifdef SIGIL_RANK_KEYS
constexpr std::uint32_t kFew = 128;
#else
constexpr std::uint32_t kFew = 64;
#endif

// Keys that rank_keys may read behind the last, and ranks that it may write there.
constexpr std::uint32_t kRankSlack = 16;

#ifndef SIGIL_RANK_KEYS
// ranks[i] becomes the number of keys below keys[i].
SIGIL_INLINE void rank_keys(const std::int64_t* keys, std::uint32_t count, std::uint32_t* ranks) noexcept {
    for (std::uint32_t i = 0; i < count; ++i) {
        std::uint32_t rank = 0;
        for (std::uint32_t j = 0; j < count; ++j) rank += keys[j] < keys[i];
        ranks[i] = rank;
    }
}
#endif
