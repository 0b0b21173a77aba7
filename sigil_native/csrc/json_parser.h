// Pass 2: check the grammar and find out what the canonical form changes.
// Included inside the namespace of a level, after json_order.h.

class Parser {
  public:
    Parser(Scratch& scratch, const JsonOptions& options) noexcept
        : scratch_(scratch),
          text_(scratch.text.data()),
          escape_(scratch.escapes.data()),
          max_depth_(options.max_depth),
          exact_integers_(options.exact_integers),
          order_(scratch) {}

    Outcome run() noexcept {
        scratch_.patch_count = 0;
        scratch_.replaced = 0;
        // A member takes two quotes, so that these need no checks later.
        const std::size_t most = scratch_.quote_count / 2 + 1;
        const bool room = scratch_.keys.reserve(most + kRankSlack) && scratch_.members.reserve(most + 1) &&
                          scratch_.sorted.reserve(most);
        if (!room) return Outcome::out_of_memory;
        return document() ? Outcome::done : failed_;
    }

  private:
    // What changes with every token: kept apart, so that it can live in registers.
    struct Cursor {
        std::uint32_t at;            // offset into the text
        const std::uint32_t* quote;  // the next one
        std::uint32_t member_count;  // of all objects that are open
        std::uint32_t depth;         // how many containers are open
        std::int64_t previous;       // of the innermost: sort key of its latest member
        bool object;                 // whether it is one
        bool unsorted;
    };

    bool document() noexcept;
    SIGIL_INLINE bool open(Cursor& cursor) noexcept;
    SIGIL_INLINE bool close(Cursor& cursor) noexcept;
    SIGIL_INLINE bool name(Cursor& cursor) noexcept;
    SIGIL_INLINE bool string(Cursor& cursor) noexcept;
    SIGIL_INLINE bool number_or_word(Cursor& cursor) noexcept;
    SIGIL_INLINE std::uint32_t number(std::uint32_t at) noexcept;
    SIGIL_COLD std::uint32_t unusual_number(std::uint32_t at) noexcept;
    // Whether the name at `begin`, whose sort key is that of the one before, comes behind it, or is the first.
    SIGIL_COLD bool is_behind_previous(Cursor cursor, std::uint32_t begin) const noexcept {
        if (cursor.member_count == scratch_.open[cursor.depth - 1].members) return true;
        return order_.compare(place_of(scratch_.members[cursor.member_count - 1]), begin) < 0;
    }
    SIGIL_COLD bool patch(std::uint32_t begin, std::uint32_t end, const void* bytes, std::size_t size) noexcept;
    SIGIL_COLD bool escapes(std::uint32_t end) noexcept;
    SIGIL_COLD bool unescape_name(std::uint32_t begin, std::uint32_t end) noexcept;
    SIGIL_COLD std::int64_t unusual_key(std::uint32_t begin, std::uint32_t end, bool escaped) noexcept;
    SIGIL_COLD bool room_for_replacement(std::size_t extra) noexcept;
    bool fail(Outcome outcome) noexcept {
        failed_ = outcome;
        return false;
    }

    Scratch& scratch_;
    const std::uint8_t* text_;
    const std::uint32_t* escape_;  // the next one
    std::uint32_t max_depth_;
    bool exact_integers_;
    Outcome failed_ = Outcome::refused;
    MemberOrder order_;
};

// -- grammar ---------------------------------------------------------------

bool Parser::document() noexcept {
    Cursor cursor{0, scratch_.quotes.data(), 0, 0, kLowestKey, false, false};
    goto value;

begin_container:
    if (!open(cursor)) return false;
    if (text_[cursor.at] == (cursor.object ? '}' : ']')) goto end_container;
    if (!cursor.object) goto value;

member:
    if (SIGIL_UNLIKELY(!name(cursor))) return false;

value:
    if (text_[cursor.at] == '"') {
        if (SIGIL_UNLIKELY(!string(cursor))) return false;
    } else {
        if ((text_[cursor.at] | 0x20) == '{') goto begin_container;
        if (SIGIL_UNLIKELY(!number_or_word(cursor))) return false;
    }

behind_value:
    if (text_[cursor.at] == ',') {
        ++cursor.at;
        if (cursor.object) goto member;
        if (SIGIL_LIKELY(cursor.depth != 0)) goto value;
        return false;
    }
    if (cursor.depth == 0) return cursor.at == scratch_.text_size;
    if (SIGIL_UNLIKELY(text_[cursor.at] != (cursor.object ? '}' : ']'))) return false;

end_container:
    if (!close(cursor)) return false;
    goto behind_value;
}

bool Parser::open(Cursor& cursor) noexcept {
    if (SIGIL_UNLIKELY(cursor.depth >= max_depth_)) return false;
    if (SIGIL_UNLIKELY(!scratch_.open.reserve(cursor.depth + std::size_t{1}))) return fail(Outcome::out_of_memory);
    // Field by field: what is read back soon must be as wide as what was written.
    OpenContainer& container = scratch_.open[cursor.depth++];
    container.outer_previous = cursor.previous;
    container.outer_is_object = cursor.object;
    container.outer_is_unsorted = cursor.unsorted;
    container.begin = cursor.at;
    container.members = cursor.member_count;
    container.patches = scratch_.patch_count;
    cursor.previous = kLowestKey;
    cursor.object = text_[cursor.at] == '{';
    cursor.unsorted = false;
    ++cursor.at;
    return true;
}

bool Parser::close(Cursor& cursor) noexcept {
    ++cursor.at;
    const OpenContainer& container = scratch_.open[--cursor.depth];
    if (cursor.unsorted) {
        const Outcome outcome = order_.arrange(container, cursor.member_count - container.members, cursor.at);
        if (SIGIL_UNLIKELY(outcome != Outcome::done)) return fail(outcome);
    }
    cursor.member_count = container.members;
    cursor.previous = container.outer_previous;
    cursor.object = container.outer_is_object;
    cursor.unsorted = container.outer_is_unsorted;
    return true;
}

// Reads `"name":`.
bool Parser::name(Cursor& cursor) noexcept {
    const std::uint32_t begin = cursor.at;
    if (SIGIL_UNLIKELY(cursor.quote[0] != begin)) return false;
    const std::uint32_t end = cursor.quote[1];
    cursor.quote += 2;
    scratch_.members[cursor.member_count] = mark(begin, scratch_.patch_count);
    std::int64_t key = sort_key(text_ + begin + 1, end - begin - 1);
    const bool escaped = *escape_ < end;
    if (SIGIL_UNLIKELY(escaped || scratch_.beyond_bmp_order)) {
        if (escaped && !unescape_name(begin, end)) return false;
        key = unusual_key(begin, end, escaped);
    }
    scratch_.keys[cursor.member_count] = key;
    cursor.unsorted |= key < cursor.previous;
    if (SIGIL_UNLIKELY(key == cursor.previous)) cursor.unsorted |= !is_behind_previous(cursor, begin);
    cursor.previous = key;
    ++cursor.member_count;
    cursor.at = end + 2;
    return text_[end + 1] == ':';
}

bool Parser::string(Cursor& cursor) noexcept {
    const std::uint32_t end = cursor.quote[1];
    cursor.quote += 2;
    cursor.at = end + 1;
    return SIGIL_LIKELY(*escape_ >= end) || escapes(end);
}

// Reads a number, true, false or null.
bool Parser::number_or_word(Cursor& cursor) noexcept {
    const std::uint32_t at = cursor.at;
    const std::uint8_t first = text_[at];
    if (first <= '9') {
        cursor.at = number(at);
        return cursor.at != 0;
    }
    constexpr char kWords[] = "truenullalse";
    const auto is = [&](std::uint32_t offset, int word) { return std::memcmp(text_ + offset, kWords + word, 4) == 0; };
    const bool four = is(at, 0) || is(at, 4);
    cursor.at = four ? at + 4 : at + 5;
    return four || (first == 'f' && is(at + 1, 8));
}

// -- numbers ---------------------------------------------------------------

// Most numbers are canonical as they stand: at most 15 significant digits,
// which binary64 always tells apart, no exponent, no needless zeros.
std::uint32_t Parser::number(std::uint32_t at) noexcept {
    const bool negative = text_[at] == '-';
    const std::uint8_t* const begin = text_ + at + negative;
    std::uint32_t digits, points;
    number_masks(begin, digits, points);
    const std::uint32_t size = lowest_bit(~std::uint64_t{digits | points});
    points &= static_cast<std::uint32_t>(low_bits(size));
    const bool fraction = points != 0;
    const std::uint8_t last = begin[size - (size != 0)];
    bool plain = size != 0 && size - fraction <= 15;
    plain &= (points & (points - 1)) == 0 && (points & 1) == 0;
    plain &= (begin[size] | 0x20) != 'e';
    plain &= !fraction || (last != '0' && last != '.');
    plain &= *begin != '0' || (fraction ? begin[1] == '.' && begin[2] != '0' : size == 1 && !negative);
    if (SIGIL_LIKELY(plain)) return at + negative + size;
    return unusual_number(at);
}

std::uint32_t Parser::unusual_number(std::uint32_t at) noexcept {
    NumberToken token;
    const Problem problem = read_number(text_ + at, text_ + scratch_.text_size, exact_integers_, token);
    if (problem != Problem::none) return 0;
    const auto end = static_cast<std::uint32_t>(token.end - text_);
    if (!token.verbatim && !patch(at, end, token.text, token.size)) return 0;
    return end;
}

// -- escapes ---------------------------------------------------------------

bool Parser::room_for_replacement(std::size_t extra) noexcept {
    const std::size_t wanted = scratch_.replaced + extra;
    const bool room = wanted <= 0xFFFFFFFFu && scratch_.replacements.reserve(wanted + Scratch::kSlack);
    return room || fail(Outcome::out_of_memory);
}

// `bytes` instead of [begin, end); joined to the latest patch where they touch.
bool Parser::patch(std::uint32_t begin, std::uint32_t end, const void* bytes, std::size_t size) noexcept {
    if (!room_for_replacement(size)) return false;
    const std::uint32_t place = scratch_.replaced;
    std::memcpy(scratch_.replacements.data() + place, bytes, size);
    scratch_.replaced += static_cast<std::uint32_t>(size);
    if (scratch_.patch_count != 0) {
        Patch& latest = scratch_.patches[scratch_.patch_count - 1];
        if (latest.end == begin) {
            latest.end = end;
            latest.size += static_cast<std::uint32_t>(size);
            return true;
        }
    }
    if (!scratch_.patches.reserve(scratch_.patch_count + std::size_t{1})) return fail(Outcome::out_of_memory);
    scratch_.patches[scratch_.patch_count++] = {begin, end, place, static_cast<std::uint32_t>(size)};
    return true;
}

// Checks the escapes before `end`, the closing quote of their string.
bool Parser::escapes(std::uint32_t end) noexcept {
    while (*escape_ < end) {
        const std::uint32_t begin = *escape_++;
        if (SIGIL_LIKELY(is_canonical_escape(text_[begin + 1]))) continue;
        EscapeToken token;
        if (read_escape(text_ + begin, end - begin, token) != Escape::ok) return false;
        if (token.size == 12) ++escape_;
        std::uint8_t bytes[8];
        const auto size = static_cast<std::uint32_t>(put_escaped(token.point, bytes) - bytes);
        if (size == token.size && std::memcmp(bytes, text_ + begin, size) == 0) continue;
        if (!patch(begin, begin + token.size, bytes, size)) return false;
    }
    return true;
}

// Checks the escapes of a name and leaves it, without them, at the end of the replacements.
bool Parser::unescape_name(std::uint32_t begin, std::uint32_t end) noexcept {
    if (!escapes(end) || !room_for_replacement(end - begin)) return false;
    const std::uint32_t place = scratch_.replaced;
    std::uint8_t* out = scratch_.replacements.data() + place;
    for (std::uint32_t at = begin + 1; at < end;) {
        if (text_[at] != '\\') {
            *out++ = text_[at++];
            continue;
        }
        EscapeToken token;
        read_escape(text_ + at, end - at, token);
        out = put_utf8(token.point, out);
        at += token.size;
    }
    scratch_.replaced = static_cast<std::uint32_t>(out - scratch_.replacements.data());
    return order_.add_unescaped(begin, place, scratch_.replaced - place) || fail(Outcome::out_of_memory);
}

std::int64_t Parser::unusual_key(std::uint32_t begin, std::uint32_t end, bool escaped) noexcept {
    if (!escaped) return ranked_sort_key(text_ + begin + 1, end - begin - 1);
    const UnescapedName& name = order_.latest_unescaped();
    return ranked_sort_key(scratch_.replacements.data() + name.text, name.size);
}
