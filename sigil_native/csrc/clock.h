// The wall clock in milliseconds since the Unix epoch.
#pragma once

#include <chrono>
#include <cstdint>

namespace sigil {

inline std::int64_t wall_clock_ms() noexcept {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

}  // namespace sigil
