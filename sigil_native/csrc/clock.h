// The clocks of the system.
#pragma once

#include <chrono>
#include <cstdint>

namespace sigil {

// Milliseconds since the Unix epoch.
inline std::int64_t wall_clock_ms() noexcept {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// Nanoseconds from a moment on that is the same in all processes; never set back.
inline std::int64_t monotonic_ns() noexcept {
    using namespace std::chrono;
    return duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace sigil
