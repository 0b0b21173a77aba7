// Pass 1: copy the text without its white space; note quotes and escapes.
// Included inside the namespace of a level, after its Block.

class Indexer {
  public:
    Indexer(Scratch& scratch, const std::uint8_t* text, std::size_t size) noexcept
        : scratch_(scratch), text_(text), size_(static_cast<std::uint32_t>(size)) {}

    Outcome run() noexcept {
        if (!scratch_.text.reserve(std::size_t{size_} + Scratch::kSlack)) return Outcome::out_of_memory;
        out_ = scratch_.text.data();
        if (!make_room(scratch_.quotes, quote_count_, size_ / 8)) return Outcome::out_of_memory;
        if (!make_room(scratch_.escapes, escape_count_, 0)) return Outcome::out_of_memory;
        std::uint32_t at = 0;
        for (; size_ - at >= 64; at += 64) {
            const Outcome outcome = add_block(text_ + at, at, ~std::uint64_t{0});
            if (SIGIL_UNLIKELY(outcome != Outcome::done)) return outcome;
        }
        if (at != size_) {
            const std::uint32_t rest = size_ - at;
            std::uint8_t last[64];
            load_last(last, text_ + at, rest);
            const Outcome outcome = add_block(last, at, ~std::uint64_t{0} >> (64 - rest));
            if (SIGIL_UNLIKELY(outcome != Outcome::done)) return outcome;
        }
        if (in_string_ != 0) return Outcome::refused;
        return finish();
    }

  private:
    static constexpr std::uint32_t kNoPlace = 0xFFFFFFFFu;

    // Room for a block's places, and for the end marks.
    static SIGIL_INLINE bool make_room(Array<std::uint32_t>& places, std::uint32_t count,
                                       std::uint32_t expected) noexcept {
        return places.reserve(std::size_t{count} + expected + 96);
    }

    // The last bytes of the text, 1 to 63; what lies behind them is not valid.
    SIGIL_READS_BEYOND static void load_last(std::uint8_t* last, const std::uint8_t* bytes,
                                             std::uint32_t count) noexcept {
#ifndef SIGIL_COPIES_BY_CALL  // which AddressSanitizer looks at wherever it comes from
        if (SIGIL_LIKELY(stays_on_page(bytes, 64))) return copy64(last, bytes);
#endif
        std::memset(last, 0, 64);
        std::memcpy(last, bytes, count);
    }

    // A bit of `valid` for each byte that is of the text: all but the last block has 64.
    SIGIL_INLINE Outcome add_block(const std::uint8_t* bytes, std::uint32_t at, std::uint64_t valid) noexcept {
        const Block block(bytes);
        BlockMasks masks;
        const std::uint64_t backslashes = block.backslashes() & valid;
        const std::uint64_t escaped = find_escaped(backslashes);
        masks.escapes = backslashes & ~escaped;
        masks.quotes = block.quotes() & ~escaped & valid;
        const std::uint64_t inside = prefix_parity(masks.quotes) ^ in_string_;
        in_string_ = std::uint64_t{0} - (inside >> 63);
        const std::uint64_t controls = block.controls() & valid;
        if (SIGIL_UNLIKELY((controls & inside) != 0)) return Outcome::refused;
        if (SIGIL_UNLIKELY((block.not_ascii() & valid) != 0)) {
            if (wide_end_ == 0) wide_begin_ = kept_;
            wide_end_ = kept_ + 64;
        }
        masks.keep = valid;
        const std::uint64_t blank = (controls | block.spaces()) & ~inside & valid;
        const bool unmoved = blank == 0 && !after_space_;
        if (unmoved) {
            block.store(out_ + kept_);
        } else {
            if ((controls & ~block.line_spaces()) != 0) return Outcome::refused;
            masks.keep = valid & ~blank;
            if (!squeeze(block, bytes, at, masks)) return Outcome::refused;
        }
        if (!note(scratch_.quotes, quote_count_, masks.quotes, masks.keep, unmoved)) return Outcome::out_of_memory;
        if (SIGIL_UNLIKELY(masks.escapes != 0)) {
            if (!note(scratch_.escapes, escape_count_, masks.escapes, masks.keep, unmoved)) return Outcome::out_of_memory;
        }
        kept_ += count_bits(masks.keep);
        return Outcome::done;
    }

    // Which bytes follow a backslash that is not itself escaped. A run of
    // backslashes escapes what follows it if it is odd in length; adding the
    // starts of runs to the backslashes carries to the byte behind each run.
    SIGIL_INLINE std::uint64_t find_escaped(std::uint64_t backslashes) noexcept {
        if (SIGIL_LIKELY((backslashes | escape_carry_) == 0)) return 0;
        constexpr std::uint64_t kEven = 0x5555555555555555u;
        backslashes &= ~escape_carry_;
        const std::uint64_t follows = backslashes << 1 | escape_carry_;
        const std::uint64_t odd_starts = backslashes & ~kEven & ~follows;
        const std::uint64_t behind = odd_starts + backslashes;
        escape_carry_ = behind < backslashes;
        return (kEven ^ behind << 1) & follows;
    }

    // Drops white space between tokens. A level may squeeze the masks as well, so
    // that `keep` has no gaps, or leave that to its note_places. False: white
    // space parts one token.
    bool squeeze(const Block& block, const std::uint8_t* bytes, std::uint32_t at, BlockMasks& masks) noexcept;
#ifndef SIGIL_SQUEEZE_BLOCK
    void copy_runs(const std::uint8_t* bytes, BlockMasks& masks) noexcept;
#endif

    // Whether the byte is a token, or an end of one, by itself. Between two that
    // are not, white space must not vanish unnoticed: they could become one token.
    static SIGIL_INLINE bool is_punctuation(std::uint8_t byte) noexcept {
        // { and [, } and ] differ in one bit.
        const std::uint8_t folded = byte | 0x20;
        return (folded == '{') | (folded == '}') | (byte == ':') | (byte == ',') | (byte == '"');
    }

    SIGIL_INLINE bool note(Array<std::uint32_t>& places, std::uint32_t& count, std::uint64_t mask,
                           std::uint64_t keep, bool unmoved) noexcept {
        if (SIGIL_UNLIKELY(std::size_t{count} + 96 > places.capacity()) && !make_room(places, count, 0)) return false;
#ifdef SIGIL_PACK_PLACES
        static_cast<void>(unmoved);
#else
        if (SIGIL_LIKELY(unmoved)) {
            note_unmoved(places.data() + count, kept_, mask);
        } else
#endif
        {
            note_places(places.data() + count, kept_, mask, keep);
        }
        count += count_bits(mask);
        return true;
    }

    // As note_places() where all of the block is kept, so that no place has moved: half the work for each. Few blocks
    // have more than sixteen; whether one has more than eight is hard to foresee.
    static SIGIL_INLINE void note_unmoved(std::uint32_t* out, std::uint32_t base, std::uint64_t mask) noexcept {
        do {
            for (int i = 0; i < 16; ++i) {
                *out++ = base + lowest_bit_or_any(mask);
                mask &= mask - 1;
            }
        } while (SIGIL_UNLIKELY(mask != 0));
    }

    Outcome finish() noexcept {
        std::memset(out_ + kept_, 0, Scratch::kSlack / 2);
        for (int i = 0; i < 2; ++i) scratch_.quotes[quote_count_ + static_cast<std::uint32_t>(i)] = kNoPlace;
        scratch_.escapes[escape_count_] = kNoPlace;
        scratch_.text_size = kept_;
        scratch_.quote_count = quote_count_;
        scratch_.escape_count = escape_count_;
        scratch_.beyond_bmp_order = false;
        return wide_end_ == 0 || check_utf8() ? Outcome::done : Outcome::refused;
    }

    SIGIL_NOINLINE bool check_utf8() noexcept {
        const std::uint8_t* position = out_ + wide_begin_;
        const std::uint8_t* const last = out_ + (wide_end_ < kept_ ? wide_end_ : kept_);
#ifdef SIGIL_CHECK_UTF8
        // The three bytes behind the last one tell whether its character ends. They are ASCII, or zeros behind the
        // text.
        Utf8Check check;
        for (; position < last + 3; position += 32) check.add(position);
        scratch_.beyond_bmp_order = check.has_at_least(0xEE);
        return check.holds();
#else
        const std::uint8_t* const end = out_ + kept_;
        while (position < last) {
            // Zeros follow the text, so that a word may reach past its end.
            if ((load_little_endian(position) & 0x8080808080808080u) == 0) {
                position += 8;
                continue;
            }
            while (*position < 0x80) ++position;
            while (*position >= 0x80) {
                const std::uint32_t length = utf8_sequence(position, static_cast<std::size_t>(end - position));
                if (length == 0) return false;
                scratch_.beyond_bmp_order |= *position >= 0xEE;
                position += length;
            }
        }
        return true;
#endif
    }

    Scratch& scratch_;
    const std::uint8_t* text_;
    std::uint8_t* out_ = nullptr;
    std::uint32_t size_;
    std::uint32_t kept_ = 0;
    std::uint32_t quote_count_ = 0;
    std::uint32_t escape_count_ = 0;
    std::uint64_t in_string_ = 0;  // all ones inside a string
    std::uint64_t escape_carry_ = 0;
    std::uint32_t wide_begin_ = 0;  // bytes that are not ASCII lie between these places
    std::uint32_t wide_end_ = 0;
    bool after_space_ = false;  // the last byte seen was dropped
};

bool Indexer::squeeze(const Block& block, const std::uint8_t* bytes, std::uint32_t at, BlockMasks& masks) noexcept {
    const std::uint64_t dropped = ~masks.keep;
    // A token must not end before white space and go on behind it. Adding the
    // first bytes of runs of white space to the runs carries to the byte behind.
    const std::uint64_t inner = ~block.punctuation() & masks.keep;
    const std::uint64_t before = kept_ != 0 && !is_punctuation(out_[kept_ - 1]);
    const std::uint64_t starts = dropped & (inner << 1 | before);
    const std::uint64_t behind = (starts + dropped) | (before & static_cast<std::uint64_t>(after_space_));
    if ((behind & inner) != 0) return false;
    const std::uint32_t size = size_ - at < 64 ? size_ - at : 64;
    after_space_ = (dropped >> (size - 1) & 1) != 0;
#ifdef SIGIL_SQUEEZE_BLOCK
    static_cast<void>(bytes);
    squeeze_block(block, out_ + kept_, masks);
#else
    if (size_ - at < 128) {
        std::uint8_t padded[128];
        std::memcpy(padded, bytes, size);
        copy_runs(padded, masks);
    } else {
        copy_runs(bytes, masks);
    }
#endif
    return true;
}

#ifndef SIGIL_SQUEEZE_BLOCK
// Copies one run of kept bytes at a time, and the bits that tell about it: whole
// vectors, of which the next run overwrites what was too much. `bytes` are
// followed by 64 more that may be read.
void Indexer::copy_runs(const std::uint8_t* bytes, BlockMasks& masks) noexcept {
    const BlockMasks all = masks;
    masks = {0, 0, 0};
    std::uint32_t count = 0;
    for (std::uint64_t keep = all.keep; keep != 0;) {
        const std::uint32_t begin = lowest_bit(keep);
        const std::uint64_t gaps = ~keep >> begin;
        const std::uint32_t length = gaps == 0 ? 64 - begin : lowest_bit(gaps);
        copy64(out_ + kept_ + count, bytes + begin);
        const std::uint64_t run = low_bits(length);
        masks.quotes |= (all.quotes >> begin & run) << count;
        masks.escapes |= (all.escapes >> begin & run) << count;
        count += length;
        keep &= ~(run << begin);
    }
    masks.keep = low_bits(count);
}
#endif
