// A growable run of bytes. Writers reserve room once and then store without
// checks; the last `kSlack` bytes let them store whole vectors past the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>

namespace sigil {

class ByteBuffer {
  public:
    static constexpr std::size_t kSlack = 64;

    ByteBuffer() = default;
    ByteBuffer(const ByteBuffer&) = delete;
    ByteBuffer& operator=(const ByteBuffer&) = delete;
    ~ByteBuffer() { std::free(data_); }

    std::uint8_t* data() noexcept { return data_; }
    const std::uint8_t* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    std::size_t capacity() const noexcept { return capacity_; }

    // Room for `extra` more bytes, plus kSlack. False: no memory, nothing changed.
    bool reserve(std::size_t extra) noexcept {
        if (data_ != nullptr && extra <= capacity_ - size_) return true;
        return grow(extra);
    }

    std::uint8_t* end() noexcept { return data_ + size_; }
    // Bytes up to `position` have been written; it lies within the reserved room.
    void set_end(const std::uint8_t* position) noexcept {
        size_ = static_cast<std::size_t>(position - data_);
    }
    void set_size(std::size_t size) noexcept { size_ = size; }
    void clear() noexcept { size_ = 0; }

    void swap(ByteBuffer& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

    // Give memory back after an unusually large document.
    void shrink_if_above(std::size_t most) noexcept {
        if (capacity_ <= most) return;
        std::free(data_);
        data_ = nullptr;
        size_ = capacity_ = 0;
    }

  private:
    bool grow(std::size_t extra) noexcept {
        constexpr std::size_t kLargest = SIZE_MAX / 4;
        if (extra > kLargest || size_ > kLargest) return false;
        std::size_t wanted = size_ + extra;
        if (wanted < 2 * capacity_) wanted = 2 * capacity_;
        if (wanted < kSmallest) wanted = kSmallest;
        void* moved = std::realloc(data_, wanted + kSlack);
        if (moved == nullptr) return false;
        data_ = static_cast<std::uint8_t*>(moved);
        capacity_ = wanted;
        return true;
    }

    static constexpr std::size_t kSmallest = 1024;
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

}  // namespace sigil
