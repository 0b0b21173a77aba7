// Pass 1: copy the text without its white space; note quotes and escapes.
// Included inside the namespace of a level, after its Block.

// For each block, masks of its bytes. Escapes are backslashes that are not
// themselves escaped.
struct BlockMasks {
    std::uint64_t quotes, escapes, keep;
};

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
            std::uint8_t last[64] = {};
            copy_last(last, at);
            const Outcome outcome = add_block(last, at, low_bits(size_ - at));
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

    SIGIL_INLINE void copy_last(std::uint8_t* last, std::uint32_t at) const noexcept {
        std::memcpy(last, text_ + at, size_ - at);
    }

    SIGIL_INLINE Outcome add_block(const std::uint8_t* bytes, std::uint32_t at, std::uint64_t valid) noexcept {
        const Block block(bytes);
        BlockMasks masks;
        const std::uint64_t backslashes = block.backslashes();
        const std::uint64_t escaped = find_escaped(backslashes);
        masks.escapes = backslashes & ~escaped;
        masks.quotes = block.quotes() & ~escaped;
        const std::uint64_t inside = prefix_parity(masks.quotes) ^ in_string_;
        in_string_ = std::uint64_t{0} - (inside >> 63);
        const std::uint64_t controls = block.controls() & valid;
        if (SIGIL_UNLIKELY((controls & inside) != 0)) return Outcome::refused;
        if (SIGIL_UNLIKELY(block.not_ascii() != 0)) {
            if (wide_end_ == 0) wide_begin_ = kept_;
            wide_end_ = kept_ + 64;
        }
        masks.keep = valid;
        const std::uint64_t blank = (controls | block.spaces()) & ~inside & valid;
        if (blank == 0 && !after_space_) {
            block.store(out_ + kept_);
        } else {
            if ((controls & ~block.line_spaces()) != 0) return Outcome::refused;
            masks.keep = valid & ~blank;
            if (!squeeze(block, bytes, at, masks)) return Outcome::refused;
        }
        if (!note(scratch_.quotes, quote_count_, masks.quotes)) return Outcome::out_of_memory;
        if (SIGIL_UNLIKELY(masks.escapes != 0)) {
            if (!note(scratch_.escapes, escape_count_, masks.escapes)) return Outcome::out_of_memory;
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

    // Drops white space between tokens. `masks` are squeezed alike, and `keep`
    // becomes the bytes that remain. False: white space parts one token.
    bool squeeze(const Block& block, const std::uint8_t* bytes, std::uint32_t at, BlockMasks& masks) noexcept;

    // Whether the byte is a token, or an end of one, by itself. Between two that
    // are not, white space must not vanish unnoticed: they could become one token.
    static SIGIL_INLINE bool is_punctuation(std::uint8_t byte) noexcept {
        // { and [, } and ] differ in one bit.
        const std::uint8_t folded = byte | 0x20;
        return (folded == '{') | (folded == '}') | (byte == ':') | (byte == ',') | (byte == '"');
    }

    SIGIL_INLINE bool note(Array<std::uint32_t>& places, std::uint32_t& count, std::uint64_t mask) noexcept {
        if (SIGIL_UNLIKELY(std::size_t{count} + 96 > places.capacity()) && !make_room(places, count, 0)) return false;
        note_places(places.data() + count, kept_, mask);
        count += count_bits(mask);
        return true;
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

    SIGIL_COLD bool check_utf8() noexcept {
        const std::uint8_t* position = out_ + wide_begin_;
        const std::uint8_t* const end = out_ + kept_;
        const std::uint8_t* const last = out_ + (wide_end_ < kept_ ? wide_end_ : kept_);
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

#ifdef SIGIL_OWN_SQUEEZE
bool Indexer::squeeze(const Block& block, const std::uint8_t*, std::uint32_t at, BlockMasks& masks) noexcept {
    const std::uint64_t keep = masks.keep;
    const std::uint64_t dropped = ~keep;
    // Bytes that stand behind white space and cannot begin a token behind another one.
    const std::uint64_t inner = ~block.punctuation();
    const std::uint64_t behind_space = inner & (dropped << 1 | static_cast<std::uint64_t>(after_space_));
    const std::uint64_t before = kept_ != 0 && !is_punctuation(out_[kept_ - 1]);
    if ((_pext_u64(behind_space, keep) & (_pext_u64(inner, keep) << 1 | before)) != 0) return false;
    block.store_some(out_ + kept_, keep);
    masks.quotes = _pext_u64(masks.quotes, keep);
    masks.escapes = _pext_u64(masks.escapes, keep);
    masks.keep = low_bits(count_bits(keep));
    const std::uint32_t last = size_ - at < 64 ? size_ - at - 1 : 63;
    after_space_ = (dropped >> last & 1) != 0;
    return true;
}
#else
// One run of kept bytes at a time: whole vectors, of which the next run
// overwrites what was too much.
bool Indexer::squeeze(const Block&, const std::uint8_t* bytes, std::uint32_t at, BlockMasks& masks) noexcept {
    std::uint8_t padded[128];
    if (size_ - at < 128) {
        const std::uint32_t remaining = size_ - at < 64 ? size_ - at : 64;
        std::memcpy(padded, bytes, remaining);
        bytes = padded;
    }
    std::uint64_t keep = masks.keep;
    const std::uint64_t quotes = masks.quotes, escapes = masks.escapes;
    const std::uint32_t last = size_ - at < 64 ? size_ - at - 1 : 63;
    const bool ends_in_space = (keep >> last & 1) == 0;
    std::uint32_t count = 0;
    masks.quotes = masks.escapes = 0;
    while (keep != 0) {
        const std::uint32_t begin = lowest_bit(keep);
        const std::uint64_t rest = ~(keep >> begin);
        const std::uint32_t length = rest == 0 ? 64 : lowest_bit(rest);
        std::uint8_t* const out = out_ + kept_ + count;
        if ((begin != 0 || after_space_) && kept_ + count != 0) {
            if (!is_punctuation(out[-1]) && !is_punctuation(bytes[begin])) return false;
        }
        copy64(out, bytes + begin);
        const std::uint64_t run = low_bits(length);
        masks.quotes |= (quotes >> begin & run) << count;
        masks.escapes |= (escapes >> begin & run) << count;
        count += length;
        keep = begin + length >= 64 ? 0 : keep >> (begin + length) << (begin + length);
        after_space_ = false;
    }
    masks.keep = low_bits(count);
    after_space_ = ends_in_space;
    return true;
}
#endif
