#include "bucket_table.h"

#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace sigil {

namespace {

// Hashes that stand for no key. Only an entry that was never used ends a search: what was vacated may
// have others behind it.
constexpr std::uint64_t kUnused = 0;
constexpr std::uint64_t kVacated = 1;
constexpr Pair kNobody = {kVacated, 0};

std::uint64_t key_of(std::uint64_t hash) noexcept { return hash > kVacated ? hash : hash + 2; }

bool is_settled(std::int64_t moment) noexcept { return moment > 0; }
bool is_reservation(const Pair& entry) noexcept { return entry.second < 0; }

std::uint64_t high_product(std::uint64_t left, std::uint64_t right) noexcept {
#if defined(_MSC_VER)
    return __umulh(left, right);
#else
    __extension__ typedef unsigned __int128 Wide;
    return static_cast<std::uint64_t>(static_cast<Wide>(left) * right >> 64);
#endif
}

}  // namespace

// What a search of a window found.
struct BucketTable::Found {
    Pair* settled = nullptr;  // the key's entry
    Pair* place = nullptr;    // else: the key's reservation, or the entry to take
    Pair seen = kNobody;      // what stands at `place`
};

Pair* BucketTable::window(std::uint64_t key) const noexcept {
    return entries_ + kLine * high_product(key, lines_);
}

void BucketTable::prefetch(std::uint64_t hash) const noexcept {
#if defined(__GNUC__)
    __builtin_prefetch(window(key_of(hash)), 1);
#else
    (void)hash;
#endif
}

BucketTable::Found BucketTable::find(Pair* window, std::uint64_t key, std::int64_t now) noexcept {
    Found found;
    const std::int64_t latest = now + time_.most();
    for (Pair* entry = window; entry != window + kWindow; ++entry) {
        Pair seen = {load_first(entry), load_second(entry)};
        if (seen.first == key) {
            if (is_settled(seen.second)) {
                found.settled = entry;
                return found;
            }
            if (found.place == nullptr || found.seen.first != key) {
                found.place = entry;
                found.seen = seen;
            }
        } else if (seen.first == kUnused) {
            if (found.place == nullptr || (is_reservation(found.seen) && found.seen.first != key)) {
                found.place = entry;
                found.seen = seen;
            }
            return found;
        } else if (seen.second > latest) {
            // The clock was set back: no bucket lacks more than all, or this entry would be in use for ever.
            compare_exchange(entry, seen, {seen.first, latest});
        } else if (seen.second <= now) {
            // Reservations of others only where there is nothing else.
            const bool better = found.place == nullptr || (found.seen.first != key && is_reservation(found.seen) &&
                                                           !is_reservation(seen));
            if (better) {
                found.place = entry;
                found.seen = seen;
            }
        }
    }
    return found;
}

// Charges a settled entry; false if it is the key's no longer.
bool BucketTable::charge(Pair* entry, std::uint64_t key, std::int64_t now, std::int64_t cost,
                         BucketVerdict& verdict) noexcept {
    const std::int64_t most = time_.most();
    Pair seen = {key, load_second(entry)};
    while (seen.first == key && is_settled(seen.second)) {
        if (seen.second > now + most) {  // the clock was set back
            const Pair clamped = {key, now + most};
            if (!compare_exchange(entry, seen, clamped)) continue;
            seen = clamped;
        }
        const std::int64_t start = seen.second > now ? seen.second : now;
        const std::int64_t wait = start - now + cost - most;
        if (cost == 0 || wait > 0) {
            verdict = {cost == 0, true, start - now, cost == 0 ? 0 : wait};
            if (load_first(entry) == key) return true;
            return false;  // the moment may have been another key's
        }
        if (compare_exchange(entry, seen, {key, start + cost})) {
            verdict = {true, true, start + cost - now, 0};
            return true;
        }
    }
    return false;
}

// Settles a reservation if the key stands nowhere else in its window.
bool BucketTable::settle(Pair* window, Pair* entry, const Pair& reserved, std::int64_t moment) noexcept {
    const std::uint64_t key = reserved.first;
    Pair own = reserved;
    for (Pair* other = window; other != window + kWindow; ++other) {
        Pair seen = {load_first(other), load_second(other)};
        if (seen.first == kUnused) break;
        if (other == entry || seen.first != key) continue;
        if (other < entry || is_settled(seen.second)) {
            compare_exchange(entry, own, kNobody);
            return false;
        }
        if (!compare_exchange(other, seen, kNobody) && seen.first == key) return false;
    }
    return compare_exchange(entry, own, {key, moment});
}

BucketVerdict BucketTable::take(std::uint64_t hash, std::int64_t now, std::int64_t tokens) noexcept {
    const std::uint64_t key = key_of(hash);
    const std::int64_t cost = tokens * time_.token();
    Pair* const window = this->window(key);
    for (;;) {
        Found found = find(window, key, now);
        BucketVerdict verdict = {true, true, 0, 0};
        if (found.settled != nullptr) {
            if (charge(found.settled, key, now, cost, verdict)) return verdict;
            continue;
        }
        if (cost == 0) return verdict;
        if (found.place == nullptr) {
            counters_->full.fetch_add(1, std::memory_order_relaxed);
            return {false, false, time_.most(), cost};
        }
        Pair reserved = found.seen;
        if (reserved.first != key) {
            const std::uint64_t stamp = counters_->stamps.fetch_add(1, std::memory_order_relaxed);
            reserved = {key, -1 - static_cast<std::int64_t>(stamp)};
            if (!compare_exchange(found.place, found.seen, reserved)) continue;
        }
        if (settle(window, found.place, reserved, now + cost)) return {true, true, cost, 0};
    }
}

void BucketTable::refund(std::uint64_t hash, std::int64_t tokens) noexcept {
    const std::uint64_t key = key_of(hash);
    Pair* const window = this->window(key);
    for (Pair* entry = window; entry != window + kWindow; ++entry) {
        Pair seen = {load_first(entry), load_second(entry)};
        if (seen.first == kUnused) return;
        while (seen.first == key && is_settled(seen.second)) {
            const std::int64_t moment = seen.second - tokens * time_.token();
            if (compare_exchange(entry, seen, {key, moment > 0 ? moment : 1})) return;
        }
    }
}

std::size_t BucketTable::live(std::int64_t now) const noexcept {
    std::size_t count = 0;
    for (std::size_t i = 0; i < count_; ++i) count += load_second(entries_ + i) > now;
    return count;
}

}  // namespace sigil
