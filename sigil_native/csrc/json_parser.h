// Pass 2: check the grammar and find out what the canonical form changes.
// Included inside the namespace of a level, after its Block.

// The order of member names is that of their UTF-16 code units: that of their
// UTF-8 bytes, but for U+E000..U+FFFF (0xEE, 0xEF), which sort behind what takes
// surrogates (0xF0..0xF4). Maps lead bytes so that plain comparison is right.
SIGIL_INLINE std::uint8_t utf16_rank(std::uint8_t byte) noexcept {
    if (byte < 0xEE) return byte;
    return static_cast<std::uint8_t>(byte >= 0xF0 ? byte - 2 : byte + 5);
}

class Parser {
  public:
    Parser(Scratch& scratch, const JsonOptions& options) noexcept
        : scratch_(scratch),
          text_(scratch.text.data()),
          quote_(scratch.quotes.data()),
          escape_(scratch.escapes.data()),
          max_depth_(options.max_depth),
          exact_integers_(options.exact_integers) {}

    Outcome run() noexcept {
        scratch_.patch_count = 0;
        scratch_.replaced = 0;
        // A member takes two quotes, so that these need no checks later.
        const std::size_t most = scratch_.quote_count / 2 + 1;
        const bool room = scratch_.keys.reserve(most + 64) && scratch_.members.reserve(most + 1) &&
                          scratch_.sorted.reserve(most);
        if (!room) return Outcome::out_of_memory;
        return document() ? Outcome::done : failed_;
    }

  private:
    struct NameView {
        const std::uint8_t* text;
        std::size_t size;
    };

    bool document() noexcept;
    SIGIL_INLINE std::uint32_t scalar(std::uint32_t at) noexcept;
    SIGIL_INLINE std::uint32_t number(std::uint32_t at) noexcept;
    SIGIL_COLD std::uint32_t unusual_number(std::uint32_t at) noexcept;
    SIGIL_INLINE std::uint32_t member_name(std::uint32_t at) noexcept;
    SIGIL_COLD std::int64_t ranked_key(const std::uint8_t* name, std::size_t size) noexcept;
    SIGIL_COLD bool escaped_name(std::uint32_t begin, std::uint32_t end, std::int64_t& key) noexcept;
    SIGIL_COLD bool escapes(std::uint32_t end) noexcept;
    SIGIL_COLD bool patch(std::uint32_t begin, std::uint32_t end, const void* bytes, std::size_t size) noexcept;
    SIGIL_COLD bool room_for_patches(std::uint32_t extra) noexcept;
    SIGIL_COLD bool room_for_replacement(std::size_t extra) noexcept;
    SIGIL_COLD bool lack_of_memory() noexcept {
        failed_ = Outcome::out_of_memory;
        return false;
    }
    NameView name_of(std::uint32_t begin) const noexcept;
    SIGIL_COLD int compare_names(std::uint32_t a, std::uint32_t b) const noexcept;
    bool arrange(std::uint32_t end) noexcept;
    bool arrange_few(std::uint32_t count, std::uint32_t end) noexcept;
    SIGIL_COLD bool arrange_ties(const std::uint32_t* ranks, std::uint32_t count, std::uint32_t end) noexcept;
    SIGIL_COLD bool arrange_many(std::uint32_t count, std::uint32_t end) noexcept;
    bool sort_items(SortItem* items, std::uint32_t count) noexcept;
    SIGIL_INLINE void place(std::uint32_t rank, std::uint32_t index, std::uint32_t count, std::uint32_t end) noexcept;
    SIGIL_INLINE bool open(bool object, std::uint32_t begin) noexcept;

    Scratch& scratch_;
    const std::uint8_t* text_;
    const std::uint32_t* quote_;   // the next one
    const std::uint32_t* escape_;  // the next one
    std::uint32_t max_depth_;
    bool exact_integers_;
    Outcome failed_ = Outcome::refused;
    std::uint32_t depth_ = 0;
    std::uint32_t member_count_ = 0;
    std::uint32_t sorted_count_ = 0;
    std::uint32_t kept_count_ = 0;
    std::uint32_t name_count_ = 0;
    OpenContainer current_{};
};

constexpr std::int64_t kLowestKey = INT64_MIN;
// At most this many members are ranked by comparing each with each.
constexpr std::uint32_t kFew = 64;

// -- grammar ---------------------------------------------------------------

bool Parser::open(bool object, std::uint32_t begin) noexcept {
    if (SIGIL_UNLIKELY(depth_ >= max_depth_)) return false;
    if (SIGIL_UNLIKELY(depth_ >= scratch_.open.capacity()) && !scratch_.open.reserve(depth_ + 1u)) {
        return lack_of_memory();
    }
    scratch_.open[depth_++] = current_;
    current_ = {kLowestKey, begin, member_count_, scratch_.patch_count, object, false};
    return true;
}

// The place behind the value at `at`, if that is a string, number or literal;
// 0 if not.
std::uint32_t Parser::scalar(std::uint32_t at) noexcept {
    const std::uint8_t first = text_[at];
    if (first == '"') {
        const std::uint32_t end = quote_[1];
        quote_ += 2;
        if (SIGIL_UNLIKELY(*escape_ < end) && !escapes(end)) return 0;
        return end + 1;
    }
    if (first <= '9') return number(at);
    std::uint32_t word;
    std::memcpy(&word, text_ + at, 4);
    std::uint32_t tail;
    std::memcpy(&tail, text_ + at + 1, 4);
    std::uint32_t true_word, null_word, alse_word;
    std::memcpy(&true_word, "true", 4);
    std::memcpy(&null_word, "null", 4);
    std::memcpy(&alse_word, "alse", 4);
    if (word == true_word || word == null_word) return at + 4;
    return first == 'f' && tail == alse_word ? at + 5 : 0;
}

bool Parser::document() noexcept {
    std::uint32_t at = 0;
    bool object = false;
    current_ = {kLowestKey, 0, 0, 0, false, false};
    goto value;

begin_container:
    object = text_[at] == '{';
    if (!open(object, at)) return false;
    ++at;
    if (text_[at] == (object ? '}' : ']')) goto end_container;
    if (!object) goto value;

member:
    at = member_name(at);
    if (SIGIL_UNLIKELY(at == 0)) return false;

value:
    if ((text_[at] | 0x20) == '{') goto begin_container;
    at = scalar(at);
    if (SIGIL_UNLIKELY(at == 0)) return false;

behind_value:
    if (depth_ == 0) return at == scratch_.text_size;
    if (text_[at] == ',') {
        ++at;
        if (object) goto member;
        goto value;
    }
    if (SIGIL_UNLIKELY(text_[at] != (object ? '}' : ']'))) return false;

end_container:
    ++at;
    if (current_.unsorted && !arrange(at)) return false;
    member_count_ = current_.members;
    current_ = scratch_.open[--depth_];
    object = current_.object;
    goto behind_value;
}

// Reads `"name":` at `at`; the place of the value, or 0.
std::uint32_t Parser::member_name(std::uint32_t at) noexcept {
    if (SIGIL_UNLIKELY(quote_[0] != at)) return 0;
    const std::uint32_t end = quote_[1];
    quote_ += 2;
    const std::uint32_t size = end - at - 1;
    const std::uint32_t unused = size < 8 ? 64 - 8 * size : 0;
    std::uint64_t head = load_big_endian(text_ + at + 1);
    head = unused == 64 ? 0 : head >> unused << unused;
    auto key = static_cast<std::int64_t>(head ^ std::uint64_t{1} << 63);
    scratch_.members[member_count_] = {at, scratch_.patch_count};
    if (SIGIL_UNLIKELY(scratch_.beyond_bmp_order)) key = ranked_key(text_ + at + 1, size);
    if (SIGIL_UNLIKELY(*escape_ < end) && !escaped_name(at, end, key)) return 0;
    scratch_.keys[member_count_] = key;
    current_.unsorted |= key < current_.previous;
    if (SIGIL_UNLIKELY(key == current_.previous) && member_count_ != current_.members) {
        if (compare_names(scratch_.members[member_count_ - 1].begin, at) >= 0) current_.unsorted = true;
    }
    current_.previous = key;
    ++member_count_;
    return text_[end + 1] == ':' ? end + 2 : 0;
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

bool Parser::room_for_patches(std::uint32_t extra) noexcept {
    return scratch_.patches.reserve(std::size_t{scratch_.patch_count} + extra) || lack_of_memory();
}

bool Parser::room_for_replacement(std::size_t extra) noexcept {
    const std::size_t wanted = scratch_.replaced + extra;
    if (wanted > 0xFFFFFFFFu) return lack_of_memory();
    return scratch_.replacements.reserve(wanted + Scratch::kSlack) || lack_of_memory();
}

// `bytes` instead of [begin, end); joined to the latest patch where they touch.
bool Parser::patch(std::uint32_t begin, std::uint32_t end, const void* bytes, std::size_t size) noexcept {
    if (!room_for_patches(1) || !room_for_replacement(size)) return false;
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
    scratch_.patches[scratch_.patch_count++] = {begin, end, place, static_cast<std::uint32_t>(size)};
    return true;
}

// Checks the escapes before `end`, the closing quote of their string.
bool Parser::escapes(std::uint32_t end) noexcept {
    while (*escape_ < end) {
        const std::uint32_t begin = *escape_++;
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

bool Parser::escaped_name(std::uint32_t begin, std::uint32_t end, std::int64_t& key) noexcept {
    if (!escapes(end) || !room_for_replacement(end - begin)) return false;
    if (!scratch_.names.reserve(name_count_ + std::size_t{1})) return lack_of_memory();
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
    const std::uint32_t size = scratch_.replaced - place;
    scratch_.names[name_count_++] = {begin, place, size};
    key = ranked_key(scratch_.replacements.data() + place, size);
    return true;
}

// -- order of members --------------------------------------------------------

std::int64_t Parser::ranked_key(const std::uint8_t* name, std::size_t size) noexcept {
    std::uint64_t key = 0;
    for (std::size_t i = 0; i < 8; ++i) key = key << 8 | (i < size ? utf16_rank(name[i]) : 0u);
    return static_cast<std::int64_t>(key ^ std::uint64_t{1} << 63);
}

Parser::NameView Parser::name_of(std::uint32_t begin) const noexcept {
    std::size_t low = 0, high = name_count_;
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        if (scratch_.names[middle].begin < begin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low < name_count_ && scratch_.names[low].begin == begin) {
        const UnescapedName& name = scratch_.names[low];
        return {scratch_.replacements.data() + name.text, name.size};
    }
    const std::uint8_t* const text = text_ + begin + 1;
    const void* const quote = std::memchr(text, '"', scratch_.text_size - begin - 1);
    return {text, static_cast<std::size_t>(static_cast<const std::uint8_t*>(quote) - text)};
}

int Parser::compare_names(std::uint32_t a, std::uint32_t b) const noexcept {
    const NameView x = name_of(a), y = name_of(b);
    const std::size_t common = x.size < y.size ? x.size : y.size;
    std::size_t i = 0;
    while (common - i >= 8 && load_little_endian(x.text + i) == load_little_endian(y.text + i)) i += 8;
    while (i < common && x.text[i] == y.text[i]) ++i;
    if (i < common) return utf16_rank(x.text[i]) < utf16_rank(y.text[i]) ? -1 : 1;
    return x.size < y.size ? -1 : x.size > y.size;
}

// Member `index` of the current object, which ends at `end`, comes `rank`-th.
void Parser::place(std::uint32_t rank, std::uint32_t index, std::uint32_t count, std::uint32_t end) noexcept {
    const Member* const member = scratch_.members.data() + current_.members + index;
    const bool last = index + 1 == count;
    const std::uint32_t next_patch = last ? scratch_.patch_count : member[1].patches;
    scratch_.sorted[sorted_count_ + rank] = {member->begin, (last ? end : member[1].begin) - 1,
                                             member->patches - current_.patches + kept_count_,
                                             next_patch - member->patches};
}

// Makes the current object, which ends at `end`, a patch: its members in order.
bool Parser::arrange(std::uint32_t end) noexcept {
    const std::uint32_t count = member_count_ - current_.members;
    if (count <= kFew ? !arrange_few(count, end) : !arrange_many(count, end)) return false;
    const std::uint32_t inner = scratch_.patch_count - current_.patches;
    if (inner != 0) {
        if (!scratch_.kept.reserve(std::size_t{kept_count_} + inner)) return lack_of_memory();
        std::memcpy(scratch_.kept.data() + kept_count_, scratch_.patches.data() + current_.patches,
                    inner * sizeof(Patch));
        kept_count_ += inner;
    } else if (scratch_.patch_count == scratch_.patches.capacity() && !room_for_patches(1)) {
        return false;
    }
    scratch_.patches[current_.patches] = {current_.begin, end, sorted_count_, count};
    scratch_.patch_count = current_.patches + 1;
    sorted_count_ += count;
    return true;
}

bool Parser::arrange_few(std::uint32_t count, std::uint32_t end) noexcept {
    std::uint32_t ranks[kFew];
    rank_keys(scratch_.keys.data() + current_.members, count, ranks);
    std::uint64_t taken = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        place(ranks[i], i, count, end);
        taken |= std::uint64_t{1} << ranks[i];
    }
    return SIGIL_LIKELY(taken == low_bits(count)) || arrange_ties(ranks, count, end);
}

// Some names begin with the same eight bytes, and so share a rank.
bool Parser::arrange_ties(const std::uint32_t* ranks, std::uint32_t count, std::uint32_t end) noexcept {
    const std::int64_t* const keys = scratch_.keys.data() + current_.members;
    SortItem items[kFew];
    std::uint8_t sharing[kFew] = {};
    for (std::uint32_t i = 0; i < count; ++i) items[ranks[i] + sharing[ranks[i]]++] = {keys[i], i};
    for (std::uint32_t first = 0; first < count;) {
        const std::uint32_t same = sharing[first];
        if (same > 1 && !sort_items(items + first, same)) return false;
        first += same;
    }
    for (std::uint32_t i = 0; i < count; ++i) place(i, items[i].index, count, end);
    return true;
}

bool Parser::arrange_many(std::uint32_t count, std::uint32_t end) noexcept {
    if (!scratch_.sorting.reserve(count)) return lack_of_memory();
    const std::int64_t* const keys = scratch_.keys.data() + current_.members;
    SortItem* const items = scratch_.sorting.data();
    for (std::uint32_t i = 0; i < count; ++i) items[i] = {keys[i], i};
    if (!sort_items(items, count)) return false;
    for (std::uint32_t i = 0; i < count; ++i) place(i, items[i].index, count, end);
    return true;
}

// False: two names are the same.
bool Parser::sort_items(SortItem* items, std::uint32_t count) noexcept {
    const Member* const members = scratch_.members.data() + current_.members;
    std::sort(items, items + count, [&](const SortItem& a, const SortItem& b) noexcept {
        if (SIGIL_LIKELY(a.key != b.key)) return a.key < b.key;
        return a.index != b.index && compare_names(members[a.index].begin, members[b.index].begin) < 0;
    });
    for (std::uint32_t i = 1; i < count; ++i) {
        if (items[i - 1].key != items[i].key) continue;
        if (compare_names(members[items[i - 1].index].begin, members[items[i].index].begin) == 0) return false;
    }
    return true;
}
