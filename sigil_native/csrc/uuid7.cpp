#include "uuid7.h"

#include <cstring>
#include <mutex>

#include "clock.h"

#if defined(_WIN32)
#include <windows.h>
// After windows.h, whose types it uses.
#include <bcrypt.h>
#pragma comment(lib, "bcrypt.lib")
#else
#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#if defined(__linux__) || defined(__APPLE__)
#include <sys/random.h>
#endif
#endif

namespace sigil {

bool system_random(std::uint8_t* out, std::size_t size) noexcept {
#if defined(_WIN32)
    return BCryptGenRandom(nullptr, out, static_cast<ULONG>(size), BCRYPT_USE_SYSTEM_PREFERRED_RNG) == 0;
#elif defined(__linux__)
    while (size != 0) {
        // A signal may cut a request of more than 256 bytes short.
        const ssize_t given = getrandom(out, size, 0);
        if (given < 0) {
            if (errno == EINTR) continue;
            return false;
        }
        out += given;
        size -= static_cast<std::size_t>(given);
    }
    return true;
#else
    constexpr std::size_t kMostAtOnce = 256;
    while (size != 0) {
        const std::size_t part = size < kMostAtOnce ? size : kMostAtOnce;
        if (getentropy(out, part) != 0) return false;
        out += part;
        size -= part;
    }
    return true;
#endif
}

bool Uuid7Generator::draw(std::uint8_t* out, std::size_t size) noexcept {
    if (kPoolSize - used_ < size) {
        if (!random_(pool_, kPoolSize)) return false;
        used_ = 0;
    }
    std::memcpy(out, pool_ + used_, size);
    used_ += size;
    return true;
}

// The next timestamp and counter.
bool Uuid7Generator::advance(std::uint64_t now_ms) noexcept {
    std::uint64_t timestamp_ms = timestamp_ms_;
    if (!started_ || now_ms > timestamp_ms || timestamp_ms - now_ms > kToleratedStepBackMs) {
        timestamp_ms = now_ms;
    } else if (counter_ + 1 < kCounterLimit) {
        ++counter_;
        return true;
    } else {
        ++timestamp_ms;
    }
    // The top bit stays clear, so that a millisecond has room for 2^25 ids and more.
    std::uint8_t seed[4];
    if (!draw(seed, sizeof seed)) return false;
    std::uint32_t counter = 0;
    for (const std::uint8_t byte : seed) counter = counter << 8 | byte;
    counter_ = counter % (kCounterLimit / 2);
    timestamp_ms_ = timestamp_ms;
    started_ = true;
    return true;
}

inline void put_big_endian(std::uint64_t word, std::uint8_t* out) noexcept {
    for (int i = 0; i < 8; ++i) out[i] = static_cast<std::uint8_t>(word >> (56 - 8 * i));
}

bool Uuid7Generator::fill(std::uint64_t now_ms, std::uint8_t* out, std::size_t count,
                          std::size_t stride) noexcept {
    for (; count != 0; --count, out += stride) {
        if (!advance(now_ms)) return false;
        std::uint8_t random[8] = {};
        if (!draw(random, 6)) return false;
        std::uint64_t tail = 0;
        for (int i = 0; i < 6; ++i) tail = tail << 8 | random[i];
        // Two words: what is hashed soon is loaded by more than a byte at a time.
        put_big_endian(timestamp_ms_ << 16 | 0x7000 | counter_ >> 14, out);
        put_big_endian(std::uint64_t{0x8000 | (counter_ & 0x3fff)} << 48 | tail, out + 8);
    }
    return true;
}

void Uuid7Generator::resume(std::uint64_t timestamp_ms, std::uint32_t counter) noexcept {
    started_ = true;
    timestamp_ms_ = timestamp_ms;
    counter_ = counter;
}

void Uuid7Generator::forget() noexcept {
    started_ = false;
    used_ = kPoolSize;
}

namespace {

std::mutex shared_lock;
Uuid7Generator shared_generator(system_random);

#if !defined(_WIN32)
// fork() copies memory while other threads may be in the middle of fill(). The lock
// is taken first, so the child gets a consistent generator, and then forgets it.
const int fork_handlers = pthread_atfork([] { shared_lock.lock(); }, [] { shared_lock.unlock(); },
                                         [] {
                                             shared_generator.forget();
                                             shared_lock.unlock();
                                         });
#endif

}  // namespace

bool uuid7_fill(std::uint8_t* out, std::size_t count, std::size_t stride) noexcept {
#if !defined(_WIN32)
    // Without the handlers a fork would repeat ids; better to give none.
    if (fork_handlers != 0) return false;
#endif
    const std::lock_guard<std::mutex> locked(shared_lock);
    // Read under the lock, so that a thread does not come with a time gone by.
    const std::int64_t now_ms = wall_clock_ms();
    if (now_ms < 0) return false;
    return shared_generator.fill(static_cast<std::uint64_t>(now_ms), out, count, stride);
}

}  // namespace sigil
