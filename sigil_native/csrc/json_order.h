// The order of members: sort keys, comparison of names, and objects out of order.
// Included inside the namespace of a level, after its Block.

// Names are in the order of their UTF-16 code units: that of their UTF-8 bytes,
// but for U+E000..U+FFFF (0xEE, 0xEF), which sort behind what takes surrogates
// (0xF0..0xF4). Maps lead bytes so that plain comparison is right.
SIGIL_INLINE std::uint8_t utf16_rank(std::uint8_t byte) noexcept {
    if (byte < 0xEE) return byte;
    return static_cast<std::uint8_t>(byte >= 0xF0 ? byte - 2 : byte + 5);
}

constexpr std::int64_t kLowestKey = INT64_MIN;

// A sort key is the first eight bytes of a name, zeros behind a shorter one, the
// first byte the most significant; the top bit is turned over, because vectors
// compare signed numbers.
SIGIL_INLINE std::int64_t sort_key(const std::uint8_t* name, std::uint32_t size) noexcept {
    constexpr std::uint64_t kAll = ~std::uint64_t{0};
    // Looked up, because no branch foresees how long a name is.
    static constexpr std::uint64_t kHeads[] = {0,          kAll << 56, kAll << 48, kAll << 40, kAll << 32,
                                               kAll << 24, kAll << 16, kAll << 8,  kAll};
    const std::uint64_t head = load_big_endian(name) & kHeads[std::min(size, std::uint32_t{8})];
    return static_cast<std::int64_t>(head ^ std::uint64_t{1} << 63);
}

SIGIL_COLD std::int64_t ranked_sort_key(const std::uint8_t* name, std::uint32_t size) noexcept {
    std::uint64_t head = 0;
    for (std::uint32_t i = 0; i < 8; ++i) head = head << 8 | (i < size ? utf16_rank(name[i]) : 0u);
    return static_cast<std::int64_t>(head ^ std::uint64_t{1} << 63);
}

class MemberOrder {
  public:
    explicit MemberOrder(Scratch& scratch) noexcept : scratch_(scratch), text_(scratch.text.data()) {}

    // Notes that the name at `begin` has escapes; `size` bytes of it are at the
    // end of the replacements. False: no memory.
    SIGIL_COLD bool add_unescaped(std::uint32_t begin, std::uint32_t place, std::uint32_t size) noexcept {
        if (!scratch_.names.reserve(name_count_ + std::size_t{1})) return false;
        scratch_.names[name_count_++] = {begin, place, size};
        return true;
    }

    const UnescapedName& latest_unescaped() const noexcept { return scratch_.names[name_count_ - 1]; }

    // Below, at or above 0 as the name at `a` comes before, equals or comes after that at `b`.
    SIGIL_COLD int compare(std::uint32_t a, std::uint32_t b) const noexcept;

    // Makes `object`, which ends before `end`, a patch: its `count` members in order.
    // Refused: two names are the same.
    Outcome arrange(const OpenContainer& object, std::uint32_t count, std::uint32_t end) noexcept;

  private:
    struct NameView {
        const std::uint8_t* text;
        std::size_t size;
    };

    NameView name_of(std::uint32_t begin) const noexcept;
    SIGIL_COLD bool place_ties(const OpenContainer& object, const std::uint32_t* ranks, std::uint32_t count) noexcept;
    SIGIL_COLD Outcome place_many(const OpenContainer& object, std::uint32_t count) noexcept;
    bool sort(const OpenContainer& object, SortItem* items, std::uint32_t count) noexcept;
    SIGIL_INLINE bool place_few(const OpenContainer& object, std::uint32_t count) noexcept;

    // Member `index` of the object comes `rank`-th.
    SIGIL_INLINE void place(const OpenContainer& object, std::uint32_t rank, std::uint32_t index) noexcept {
        const Mark* const member = scratch_.members.data() + object.members + index;
        // Its patches will be moved to the end of those kept. No place before a comma is 0: nothing is carried.
        const Mark moved = mark(0, kept_count_ - object.patches);
        scratch_.sorted[sorted_count_ + rank] = {member[0] + moved, member[1] + moved - 1};
    }

    Scratch& scratch_;
    const std::uint8_t* text_;
    std::uint32_t sorted_count_ = 0;
    std::uint32_t kept_count_ = 0;
    std::uint32_t name_count_ = 0;
};

MemberOrder::NameView MemberOrder::name_of(std::uint32_t begin) const noexcept {
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

int MemberOrder::compare(std::uint32_t a, std::uint32_t b) const noexcept {
    const NameView x = name_of(a), y = name_of(b);
    const std::size_t common = x.size < y.size ? x.size : y.size;
    std::size_t i = 0;
    while (common - i >= 8 && load_little_endian(x.text + i) == load_little_endian(y.text + i)) i += 8;
    while (i < common && x.text[i] == y.text[i]) ++i;
    if (i < common) return utf16_rank(x.text[i]) < utf16_rank(y.text[i]) ? -1 : 1;
    return x.size < y.size ? -1 : x.size > y.size;
}

Outcome MemberOrder::arrange(const OpenContainer& object, std::uint32_t count, std::uint32_t end) noexcept {
    // Where the next member would begin, so that each ends before the next.
    scratch_.members[object.members + count] = mark(end, scratch_.patch_count);
    if (SIGIL_LIKELY(count <= kFew)) {
        if (!place_few(object, count)) return Outcome::refused;
    } else {
        const Outcome outcome = place_many(object, count);
        if (outcome != Outcome::done) return outcome;
    }
    const std::uint32_t inner = scratch_.patch_count - object.patches;
    if (inner != 0) {
        if (!scratch_.kept.reserve(std::size_t{kept_count_} + inner)) return Outcome::out_of_memory;
        std::memcpy(scratch_.kept.data() + kept_count_, scratch_.patches.data() + object.patches,
                    inner * sizeof(Patch));
        kept_count_ += inner;
    } else if (!scratch_.patches.reserve(std::size_t{object.patches} + 1)) {
        return Outcome::out_of_memory;
    }
    scratch_.patches[object.patches] = {object.begin, end, sorted_count_, count};
    scratch_.patch_count = object.patches + 1;
    sorted_count_ += count;
    return Outcome::done;
}

bool MemberOrder::place_few(const OpenContainer& object, std::uint32_t count) noexcept {
    if (count == 2 && scratch_.keys[object.members] != scratch_.keys[object.members + std::size_t{1}]) {
        // They are not in order as they stand.
        place(object, 1, 0);
        place(object, 0, 1);
        return true;
    }
    std::uint32_t ranks[kFew];
    rank_keys(scratch_.keys.data() + object.members, count, ranks);
    std::uint32_t below = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        place(object, ranks[i], i);
        below += ranks[i];
    }
    // Of every two keys that differ, one is below the other.
    return SIGIL_LIKELY(below == count * (count - 1) / 2) || place_ties(object, ranks, count);
}

// Some names may begin with the same eight bytes, and so share a rank.
bool MemberOrder::place_ties(const OpenContainer& object, const std::uint32_t* ranks, std::uint32_t count) noexcept {
    const std::int64_t* const keys = scratch_.keys.data() + object.members;
    SortItem items[kFew];
    std::uint16_t sharing[kFew] = {};
    for (std::uint32_t i = 0; i < count; ++i) items[ranks[i] + sharing[ranks[i]]++] = {keys[i], i};
    for (std::uint32_t first = 0; first < count;) {
        const std::uint32_t same = sharing[first];
        if (same > 1 && !sort(object, items + first, same)) return false;
        first += same;
    }
    for (std::uint32_t i = 0; i < count; ++i) place(object, i, items[i].index);
    return true;
}

Outcome MemberOrder::place_many(const OpenContainer& object, std::uint32_t count) noexcept {
    if (!scratch_.sorting.reserve(count)) return Outcome::out_of_memory;
    const std::int64_t* const keys = scratch_.keys.data() + object.members;
    SortItem* const items = scratch_.sorting.data();
    for (std::uint32_t i = 0; i < count; ++i) items[i] = {keys[i], i};
    if (!sort(object, items, count)) return Outcome::refused;
    for (std::uint32_t i = 0; i < count; ++i) place(object, i, items[i].index);
    return Outcome::done;
}

// False: two names are the same.
bool MemberOrder::sort(const OpenContainer& object, SortItem* items, std::uint32_t count) noexcept {
    const Mark* const members = scratch_.members.data() + object.members;
    std::sort(items, items + count, [&](const SortItem& a, const SortItem& b) noexcept {
        if (SIGIL_LIKELY(a.key != b.key)) return a.key < b.key;
        return a.index != b.index && compare(place_of(members[a.index]), place_of(members[b.index])) < 0;
    });
    for (std::uint32_t i = 1; i < count; ++i) {
        if (items[i - 1].key != items[i].key) continue;
        if (compare(place_of(members[items[i - 1].index]), place_of(members[items[i].index])) == 0) return false;
    }
    return true;
}
