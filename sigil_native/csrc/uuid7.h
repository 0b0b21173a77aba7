// UUIDs of version 7 (RFC 9562 §5.7) that ascend within a process (§6.2, method 1).
//
//   48 bits  milliseconds since the Unix epoch
//    4 bits  version 7
//   12 bits  counter, high part
//    2 bits  variant 10
//   14 bits  counter, low part
//   48 bits  random, fresh for each id
#pragma once

#include <cstddef>
#include <cstdint>

namespace sigil {

constexpr std::size_t kUuidSize = 16;

// Fills memory with bytes that nobody can guess; false if there are none.
using RandomSource = bool (*)(std::uint8_t* out, std::size_t size) noexcept;

// The operating system's source; waits until it is seeded.
bool system_random(std::uint8_t* out, std::size_t size) noexcept;
// A system that has none, for tests.
inline bool no_random(std::uint8_t*, std::size_t) noexcept { return false; }

// One ascending run of ids. Not locked: uuid7_fill() below locks the one that the
// process shares.
class Uuid7Generator {
  public:
    // An id keeps the latest timestamp while the clock is behind it by up to this;
    // a clock further behind is believed, because a wrong issue time would be refused.
    static constexpr std::uint64_t kToleratedStepBackMs = 60'000;
    static constexpr std::uint32_t kCounterLimit = 1U << 26;

    explicit Uuid7Generator(RandomSource random) noexcept : random_(random) {}

    // Writes `count` ids for the moment `now_ms`, `stride` bytes apart. False: no
    // random bytes; ids already written stay used up.
    bool fill(std::uint64_t now_ms, std::uint8_t* out, std::size_t count, std::size_t stride) noexcept;

    // Goes on after an id with this timestamp and counter.
    void resume(std::uint64_t timestamp_ms, std::uint32_t counter) noexcept;

    // Forgets timestamp, counter and random bytes, as a forked process must.
    void forget() noexcept;

  private:
    bool advance(std::uint64_t now_ms) noexcept;
    bool draw(std::uint8_t* out, std::size_t size) noexcept;

    // Drawn from the system in blocks: a system call costs more than an id.
    static constexpr std::size_t kPoolSize = 1536;

    RandomSource random_;
    std::size_t used_ = kPoolSize;
    bool started_ = false;
    std::uint32_t counter_ = 0;
    std::uint64_t timestamp_ms_ = 0;
    std::uint8_t pool_[kPoolSize];
};

// Ids of the process-wide generator at the system's clock. Safe from any thread,
// and in a forked process, which starts afresh.
bool uuid7_fill(std::uint8_t* out, std::size_t count, std::size_t stride) noexcept;

}  // namespace sigil
