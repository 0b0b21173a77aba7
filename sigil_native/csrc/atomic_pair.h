// Two words that change together, atomically, in memory that several processes may share.
//
// std::atomic of 16 bytes would call a library that may fall back to a lock of its own process, which other
// processes do not see; so these are the processors' own instructions: CMPXCHG16B on x86-64, and on
// ARMv8 a pair of exclusive accesses. Elsewhere a lock does it, and kSharedPairs says that memory must
// not be shared.
#pragma once

#include <atomic>
#include <cstdint>

#if defined(_MSC_VER)
#include <intrin.h>
#elif !defined(__x86_64__) && !defined(__aarch64__)
#include <mutex>
#endif

// A test that tries orders of accesses takes over here.
#if !defined(SIGIL_BEFORE_SHARED_ACCESS)
#define SIGIL_BEFORE_SHARED_ACCESS() static_cast<void>(0)
#endif

namespace sigil {

struct alignas(16) Pair {
    std::uint64_t first;
    std::int64_t second;
};

static_assert(sizeof(Pair) == 16 && sizeof(std::atomic<std::uint64_t>) == 8, "laid out as the processor wants");

#if defined(_MSC_VER) || defined(__x86_64__) || defined(__aarch64__)
constexpr bool kSharedPairs = true;
#else
constexpr bool kSharedPairs = false;
inline std::mutex pair_lock;
#endif

// Each word is read whole; the two may be from different moments, which compare_exchange() finds out.
inline std::uint64_t load_first(const Pair* place) noexcept {
    SIGIL_BEFORE_SHARED_ACCESS();
    return reinterpret_cast<const std::atomic<std::uint64_t>*>(&place->first)->load(std::memory_order_acquire);
}
inline std::int64_t load_second(const Pair* place) noexcept {
    SIGIL_BEFORE_SHARED_ACCESS();
    return reinterpret_cast<const std::atomic<std::int64_t>*>(&place->second)->load(std::memory_order_acquire);
}

// Writes `desired` if the pair is `expected`, otherwise tells in `expected` what it is. In one order with all
// such writes, for all processes.
inline bool compare_exchange(Pair* place, Pair& expected, const Pair& desired) noexcept {
    SIGIL_BEFORE_SHARED_ACCESS();
#if defined(_MSC_VER)
    static_assert(sizeof(__int64) == 8, "");
    auto* seen = reinterpret_cast<__int64*>(&expected);
    return _InterlockedCompareExchange128(reinterpret_cast<__int64*>(place), desired.second,
                                          static_cast<__int64>(desired.first), seen) != 0;
#elif defined(__x86_64__)
    bool done = false;
    __asm__ __volatile__("lock cmpxchg16b %1"
                         : "=@ccz"(done), "+m"(*place), "+a"(expected.first), "+d"(expected.second)
                         : "b"(desired.first), "c"(desired.second)
                         : "memory");
    return done;
#elif defined(__aarch64__)
    std::uint64_t first = 0;
    std::int64_t second = 0;
    std::uint32_t failed = 0;
    do {
        __asm__ __volatile__("ldaxp %0, %1, %2" : "=&r"(first), "=&r"(second) : "Q"(*place) : "memory");
        const bool same = first == expected.first && second == expected.second;
        // What differs is written back as it is: only a pair that is written is known to have been read whole.
        const std::uint64_t new_first = same ? desired.first : first;
        const std::int64_t new_second = same ? desired.second : second;
        __asm__ __volatile__("stlxp %w0, %2, %3, %1"
                             : "=&r"(failed), "=Q"(*place)
                             : "r"(new_first), "r"(new_second)
                             : "memory");
        if (failed == 0 && !same) {
            expected = {first, second};
            return false;
        }
    } while (failed != 0);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return true;
#else
    const std::lock_guard<std::mutex> locked(pair_lock);
    if (place->first == expected.first && place->second == expected.second) {
        *place = desired;
        return true;
    }
    expected = *place;
    return false;
#endif
}

}  // namespace sigil
