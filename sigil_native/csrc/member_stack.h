// The members of the objects that a walk is inside of, innermost last, and the
// order in which each object's members are written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "rank.h"
#include "utf16_order.h"

namespace sigil {

// The walker's own handles.
struct Member {
    void* name;
    void* value;
};

class MemberStack {
  public:
    static constexpr std::size_t kNone = SIZE_MAX;

    // Shows the text of a name; asked only where its prefix does not decide.
    using TextOf = Text (*)(void* name);

    MemberStack() = default;
    MemberStack(const MemberStack&) = delete;
    MemberStack& operator=(const MemberStack&) = delete;
    ~MemberStack() { release(); }

    std::size_t size() const noexcept { return size_; }
    void set_size(std::size_t size) noexcept { size_ = size; }

    // Room for `count` more members. False: no memory, nothing changed.
    bool reserve(std::size_t count) noexcept { return count <= capacity_ - size_ || grow(count); }

    // Where to put members within the reserved room, and what order_prefix() says of
    // their names; set_size() then tells how many there are.
    Member* members(std::size_t base) noexcept { return members_ + base; }
    std::uint64_t* prefixes(std::size_t base) noexcept { return prefixes_ + base; }

    // The member written `index`-th of the object whose members begin at `base`.
    const Member& ordered(std::size_t base, std::size_t index) const noexcept {
        return members_[base + order_[base + index]];
    }

    // The members from `base` on are written in the order they came.
    void keep_order(std::size_t base) noexcept {
        const std::size_t count = size_ - base;
        for (std::size_t i = 0; i < count; ++i) order_[base + i] = static_cast<std::uint32_t>(i);
    }

    // Orders the members from `base` on by prefix, then by UTF-16 code units.
    void sort(std::size_t base, TextOf text_of) noexcept {
        const std::size_t count = size_ - base;
        if (count <= kMostRanked && rank(prefixes_ + base, count, order_ + base)) return;
        keep_order(base);
        std::uint32_t* order = order_ + base;
        std::sort(order, order + count, [this, base, text_of](std::uint32_t a, std::uint32_t b) {
            if (prefixes_[base + a] != prefixes_[base + b]) return prefixes_[base + a] < prefixes_[base + b];
            const int names = compare_utf16(text_of(members_[base + a].name), text_of(members_[base + b].name));
            return names != 0 ? names < 0 : a < b;
        });
    }

    // After sort(): place in the order of the second of two equal names, or kNone.
    std::size_t find_duplicate(std::size_t base, TextOf text_of) const noexcept {
        for (std::size_t i = base + 1; i < size_; ++i) {
            const std::size_t a = base + order_[i - 1];
            const std::size_t b = base + order_[i];
            if (prefixes_[a] != prefixes_[b]) continue;
            if (compare_utf16(text_of(members_[a].name), text_of(members_[b].name)) == 0) return i - base;
        }
        return kNone;
    }

    // Orders as ECMAScript enumerates an object (ECMA-262 §10.1.11): array indices
    // ascending, then the other names in the order they came. Names are distinct.
    void sort_as_ecmascript(std::size_t base, TextOf text_of) noexcept {
        bool indices = false;
        for (std::size_t i = base; i < size_; ++i) {
            const std::uint64_t index = array_index(text_of(members_[i].name));
            indices = indices || index != kNotAnIndex;
            prefixes_[i] = index != kNotAnIndex ? index : kNotAnIndex + (i - base);
        }
        if (indices) {
            sort(base, text_of);
        } else {
            keep_order(base);
        }
    }

    // Gives memory back after an unusually large object.
    void shrink_if_above(std::size_t most) noexcept {
        if (capacity_ > most) release();
    }

  private:
    static constexpr std::size_t kSmallest = 64;
    static constexpr std::uint64_t kNotAnIndex = std::uint64_t{1} << 32;

    // The canonical decimal of 0 .. 2^32 - 2, else kNotAnIndex.
    static std::uint64_t array_index(const Text& name) noexcept {
        if (name.width != 1 || name.length == 0 || name.length > 10) return kNotAnIndex;
        const std::uint8_t* digits = static_cast<const std::uint8_t*>(name.points);
        if (digits[0] == '0' && name.length > 1) return kNotAnIndex;
        std::uint64_t index = 0;
        for (std::size_t i = 0; i < name.length; ++i) {
            if (digits[i] < '0' || digits[i] > '9') return kNotAnIndex;
            index = index * 10 + (digits[i] - std::uint64_t{'0'});
        }
        return index < kNotAnIndex - 1 ? index : kNotAnIndex;
    }

    bool grow(std::size_t count) noexcept {
        if (count > UINT32_MAX || size_ > UINT32_MAX) return false;
        const std::size_t wanted = std::max({size_ + count, 2 * capacity_, kSmallest});
        return resize(members_, wanted) && resize(prefixes_, wanted + kRankSlack) && resize(order_, wanted) &&
               (capacity_ = wanted, true);
    }

    template <typename Item>
    static bool resize(Item*& items, std::size_t count) noexcept {
        void* moved = std::realloc(static_cast<void*>(items), count * sizeof(Item));
        if (moved == nullptr) return false;
        items = static_cast<Item*>(moved);
        return true;
    }

    void release() noexcept {
        std::free(members_);
        std::free(prefixes_);
        std::free(order_);
        members_ = nullptr;
        prefixes_ = nullptr;
        order_ = nullptr;
        size_ = capacity_ = 0;
    }

    Member* members_ = nullptr;
    std::uint64_t* prefixes_ = nullptr;
    std::uint32_t* order_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace sigil
