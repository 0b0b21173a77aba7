// Token buckets of many keys in a fixed piece of memory, which threads and processes may share.
//
// An entry is a keyed hash and the moment at which that key's bucket is full again (GCRA). An entry whose
// moment has passed says what no entry says: the table cleans itself, and whoever needs a place takes such
// a one. A key lives somewhere in a window of 128 entries that begins at the line of memory that its hash names.
//
// There are no locks, so nobody can die holding one. An entry changes by one compare-and-exchange of both its
// words, and an operation that stops anywhere leaves a table that is right. What needs care is that a key must not
// get two entries when two processes bring it in at once, as both would grant a full bucket:
//
//   * A newcomer first *reserves* an entry (its hash, and a negative stamp that is never used again), then looks
//     through the whole window, and *settles* the entry (a moment) only if the hash stands nowhere else.
//   * Of two newcomers each reserves before it looks, so at least one sees the other's; the entry that comes first in
//     the window stays, the other is vacated by whoever sees both, and its settling fails.
//   * A settled entry stays the key's until somebody else takes it when its moment has passed. So there is never
//     more than one, and it is charged where it stands.
//   * The clock is read again between looking and settling. A process may have been held up since it read it first; what
//     it then does not find may have come and gone meanwhile, by a clock that was later than its own.
//   * A reservation belongs to the key, not to a process: if its maker dies, the next to come settles it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "atomic_pair.h"
#include "token_time.h"

namespace sigil {

struct BucketVerdict {
    bool granted;
    bool has_room;      // false: a new key, and every entry of its window is in use
    std::int64_t debt;  // grains that the bucket lacks after it
    std::int64_t wait;  // grains until the tokens are there
};

class BucketTable {
  public:
    static constexpr std::size_t kLine = 4;  // entries in 64 bytes
    static constexpr std::size_t kWindow = 128;

    // Entries for this many keys: twice as many, so that each finds a place in its window, and the last window's.
    static constexpr std::size_t entries_for(std::size_t capacity) noexcept {
        return (2 * capacity + kLine - 1) / kLine * kLine + kWindow;
    }

    BucketTable() noexcept = default;
    // `entries` is aligned to 64 bytes, and `stamps` counts reservations, by all that share both; at first all are
    // zeros. With the system's clock, moments are those of
    // monotonic_ns() after the epoch; otherwise the caller's, who has all of one call see one moment.
    BucketTable(Pair* entries, std::size_t count, std::atomic<std::uint64_t>* stamps, const TokenTime& time,
                std::int64_t epoch, bool system_clock) noexcept
        : entries_(entries),
          count_(count),
          lines_((count - kWindow) / kLine),
          stamps_(stamps),
          time_(time),
          epoch_(epoch),
          system_clock_(system_clock) {}

    void prefetch(std::uint64_t hash) const noexcept;
    // Takes tokens if they are there. `tokens` is at most the burst; 0 only looks.
    BucketVerdict take(std::uint64_t hash, std::int64_t now, std::int64_t tokens) noexcept;
    // Gives back tokens that were taken.
    void refund(std::uint64_t hash, std::int64_t tokens) noexcept;
    // Entries whose buckets are not full.
    std::size_t live(std::int64_t now) const noexcept;

  private:
    struct Found;

    Pair* window(std::uint64_t key) const noexcept;
    // `now` becomes later where it proves to be old.
    Found find(Pair* window, std::uint64_t key, std::int64_t& now) const noexcept;
    bool charge(Pair* entry, std::uint64_t key, std::int64_t& now, std::int64_t cost, BucketVerdict& verdict) const
        noexcept;
    bool is_alone(Pair* window, Pair* entry, const Pair& reserved) const noexcept;
    bool clamp(Pair* entry, Pair& seen, std::int64_t& now) const noexcept;
    std::int64_t later(std::int64_t now) const noexcept;

    Pair* entries_ = nullptr;
    std::size_t count_ = 0;
    std::size_t lines_ = 0;
    std::atomic<std::uint64_t>* stamps_ = nullptr;
    TokenTime time_;
    std::int64_t epoch_ = 0;
    bool system_clock_ = false;
};

}  // namespace sigil
