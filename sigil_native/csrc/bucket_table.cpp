#include "bucket_table.h"

#include "clock.h"

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

std::uint64_t high_product(std::uint64_t left, std::uint64_t right) noexcept {
#if defined(_MSC_VER)
    return __umulh(left, right);
#else
    __extension__ typedef unsigned __int128 Wide;
    return static_cast<std::uint64_t>(static_cast<Wide>(left) * right >> 64);
#endif
}

}  // namespace

// How good an entry is for a key that has none, the best last.
enum class Fit { none, reserved_by_another, free, reserved };

// What a search of a window found: the key's entry, or else the best place for one and what stands there.
struct BucketTable::Found {
    Pair* settled = nullptr;
    Pair* place = nullptr;
    Pair seen = kNobody;
    Fit fit = Fit::none;

    void offer(Pair* entry, const Pair& there, Fit how) noexcept {
        if (how <= fit) return;
        place = entry;
        seen = there;
        fit = how;
    }
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

std::int64_t BucketTable::later(std::int64_t now) const noexcept {
    return system_clock_ ? time_.grains(monotonic_ns() - epoch_) : now;
}

// Sees to an entry that lacks more than a whole bucket by the clock `now`. Either that moment is from before this
// process was held up, or the clock was set back since the entry was written: then it lacks all from now on, or it
// would be in use for ever. False: the entry has changed.
bool BucketTable::clamp(Pair* entry, Pair& seen, std::int64_t& now) const noexcept {
    now = later(now);
    const Pair clamped = {seen.first, now + time_.most()};
    if (seen.second <= clamped.second) return true;
    if (!compare_exchange(entry, seen, clamped)) return false;
    seen = clamped;
    return true;
}

BucketTable::Found BucketTable::find(Pair* window, std::uint64_t key, std::int64_t& now) const noexcept {
    Found found;
    for (Pair* entry = window; entry != window + kWindow; ++entry) {
        Pair seen = {load_first(entry), load_second(entry)};
        if (seen.first == key && is_settled(seen.second)) {
            found.settled = entry;
            return found;
        }
        if (seen.first == kUnused) {
            found.offer(entry, seen, Fit::free);
            return found;
        }
        if (seen.second > now + time_.most()) {
            clamp(entry, seen, now);
        } else if (seen.first == key) {
            found.offer(entry, seen, Fit::reserved);
        } else if (seen.second <= now) {
            found.offer(entry, seen, is_settled(seen.second) || seen.first == kVacated ? Fit::free
                                                                                       : Fit::reserved_by_another);
        }
    }
    return found;
}

// Charges a settled entry; false if it is the key's no longer.
bool BucketTable::charge(Pair* entry, std::uint64_t key, std::int64_t& now, std::int64_t cost,
                         BucketVerdict& verdict) const noexcept {
    const std::int64_t most = time_.most();
    Pair seen = {key, load_second(entry)};
    while (seen.first == key && is_settled(seen.second)) {
        if (seen.second > now + most && !clamp(entry, seen, now)) continue;
        const std::int64_t start = seen.second > now ? seen.second : now;
        const std::int64_t wait = start - now + cost - most;
        if (cost == 0 || wait > 0) {
            const std::int64_t then = now;
            // Nobody is refused for having been held up since the clock was read.
            if (wait > 0 && (now = later(now)) - then >= wait) continue;
            verdict = {cost == 0, true, start - then, cost == 0 ? 0 : wait};
            return load_first(entry) == key;  // or the moment may have been another key's
        }
        if (compare_exchange(entry, seen, {key, start + cost})) {
            verdict = {true, true, start + cost - now, 0};
            return true;
        }
    }
    return false;
}

// Whether a reserved key stands nowhere else in its window. Otherwise one of both places is vacated.
bool BucketTable::is_alone(Pair* window, Pair* entry, const Pair& reserved) const noexcept {
    for (Pair* other = window; other != window + kWindow; ++other) {
        Pair seen = {load_first(other), load_second(other)};
        if (seen.first == kUnused) break;
        if (other == entry || seen.first != reserved.first) continue;
        if (other < entry || is_settled(seen.second)) {
            Pair own = reserved;
            compare_exchange(entry, own, kNobody);
            return false;
        }
        if (!compare_exchange(other, seen, kNobody) && seen.first == reserved.first) return false;
    }
    return true;
}

BucketVerdict BucketTable::take(std::uint64_t hash, std::int64_t now, std::int64_t tokens) noexcept {
    const std::uint64_t key = key_of(hash);
    const std::int64_t cost = tokens * time_.token();
    Pair* const window = this->window(key);
    // Where the table is not crowded, a key stands at the head of its window: no search for that.
    BucketVerdict at_head;
    if (load_first(window) == key && charge(window, key, now, cost, at_head)) return at_head;
    for (;;) {
        Found found = find(window, key, now);
        BucketVerdict verdict = {true, true, 0, 0};
        if (found.settled != nullptr) {
            if (charge(found.settled, key, now, cost, verdict)) return verdict;
            continue;
        }
        if (cost == 0) return verdict;
        if (found.place == nullptr) return {false, false, time_.most(), cost};
        Pair reserved = found.seen;
        if (reserved.first != key) {
            const std::uint64_t stamp = stamps_->fetch_add(1, std::memory_order_relaxed);
            reserved = {key, -1 - static_cast<std::int64_t>(stamp)};
            if (!compare_exchange(found.place, found.seen, reserved)) continue;
        }
        if (!is_alone(window, found.place, reserved)) continue;
        if (compare_exchange(found.place, reserved, {key, later(now) + cost})) return {true, true, cost, 0};
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
