// What the passes of the transcoder hand to one another, and the memory it lives in.
//
// Pass 1 (json_index.h) copies the text without white space and notes where its
// quotes and escapes are. Pass 2 (json_parser.h) checks the grammar and finds
// out how the canonical form differs from that copy: patches. Pass 3
// (json_emitter.h) writes the copy with the patches applied. A text that is
// canonical already has no patches.
//
// All places are 32-bit offsets into the copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <type_traits>

namespace sigil {

// Memory for a run of plain values that is given room before it is written to.
template <class T>
class Array {
  public:
    static_assert(std::is_trivially_copyable<T>::value, "grows by realloc");

    Array() = default;
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    ~Array() { std::free(data_); }

    T* data() noexcept { return data_; }
    const T* data() const noexcept { return data_; }
    T& operator[](std::size_t index) noexcept { return data_[index]; }
    const T& operator[](std::size_t index) const noexcept { return data_[index]; }
    std::size_t capacity() const noexcept { return capacity_; }
    std::size_t bytes() const noexcept { return capacity_ * sizeof(T); }

    // Room for `count` values in all; those already there are kept. False: no memory.
    bool reserve(std::size_t count) noexcept { return count <= capacity_ || grow(count); }

    void release() noexcept {
        std::free(data_);
        data_ = nullptr;
        capacity_ = 0;
    }

  private:
    bool grow(std::size_t count) noexcept {
        if (count < 2 * capacity_) count = 2 * capacity_;
        if (count < kFewest) count = kFewest;
        if (count > SIZE_MAX / 2 / sizeof(T)) return false;
        void* moved = std::realloc(static_cast<void*>(data_), count * sizeof(T));
        if (moved == nullptr) return false;
        data_ = static_cast<T*>(moved);
        capacity_ = count;
        return true;
    }

    static constexpr std::size_t kFewest = 256;
    T* data_ = nullptr;
    std::size_t capacity_ = 0;
};

// A place in the text, and how many patches there are before it: in one word, the
// place its lower half, so that both are read, moved and written at once.
using Mark = std::uint64_t;
inline constexpr Mark mark(std::uint32_t place, std::uint32_t patches) noexcept { return Mark{patches} << 32 | place; }
inline constexpr std::uint32_t place_of(Mark mark) noexcept { return static_cast<std::uint32_t>(mark); }
inline constexpr std::uint32_t patches_of(Mark mark) noexcept { return static_cast<std::uint32_t>(mark >> 32); }

// A member of an object whose members are to be written in another order. Its
// patches are in Scratch::kept.
struct SortedMember {
    Mark begin, end;
};

// A part of the copy that is written differently: an object, if the part begins
// with '{', otherwise an escape or a number.
struct Patch {
    std::uint32_t begin, end;
    std::uint32_t source;  // first SortedMember; or offset into Scratch::replacements
    std::uint32_t size;    // how many members; or bytes
};

// A container that is being parsed, and what is kept for the one around it in the meantime.
struct OpenContainer {
    std::int64_t outer_previous;  // sort key of its latest member
    std::uint32_t begin;
    std::uint32_t members;  // its first in Scratch::members
    std::uint32_t patches;  // how many there were when it began
    bool outer_is_object;
    bool outer_is_unsorted;
};

// A member name that has escapes, as it is without them.
struct UnescapedName {
    std::uint32_t begin;  // its opening quote
    std::uint32_t text;   // offset into Scratch::replacements
    std::uint32_t size;
};

struct SortItem {
    std::int64_t key;
    std::uint32_t index;
};

struct Scratch {
    // Vectors may be loaded and stored this far past the end of a text.
    static constexpr std::size_t kSlack = 128;

    Array<std::uint8_t> text;
    Array<std::uint32_t> quotes;
    Array<std::uint32_t> escapes;
    Array<std::int64_t> keys;  // sort keys, parallel to `members`
    Array<Mark> members;  // where the names of open objects begin: a member ends before the next, less the comma
    Array<SortedMember> sorted;
    Array<Patch> patches;
    Array<Patch> kept;  // patches inside objects that are patches themselves
    Array<std::uint8_t> replacements;
    Array<OpenContainer> open;
    Array<UnescapedName> names;
    Array<SortItem> sorting;

    std::uint32_t text_size = 0;
    std::uint32_t quote_count = 0;
    std::uint32_t escape_count = 0;
    std::uint32_t patch_count = 0;
    std::uint32_t replaced = 0;  // bytes of `replacements` in use
    bool beyond_bmp_order = false;  // has bytes whose order differs from that of UTF-16

    // Give memory back if there is more than `most` bytes of it.
    void shrink_if_above(std::size_t most) noexcept {
        const std::size_t total = text.bytes() + quotes.bytes() + escapes.bytes() + keys.bytes() + members.bytes() +
                                  sorted.bytes() + patches.bytes() + kept.bytes() + replacements.bytes() +
                                  open.bytes() + names.bytes() + sorting.bytes();
        if (total <= most) return;
        text.release();
        quotes.release();
        escapes.release();
        keys.release();
        members.release();
        sorted.release();
        patches.release();
        kept.release();
        replacements.release();
        open.release();
        names.release();
        sorting.release();
    }
};

enum class Outcome : std::uint8_t { done, refused, out_of_memory };

}  // namespace sigil
