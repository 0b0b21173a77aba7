// What SIGIL_NATIVE_LEVEL leaves of the processor to code that only has a plain form and
// one for wider registers. The names of the levels are checked, and explained, in
// sigil_native/_levels.py; no level of x86-64 with AVX2 is called anything but "avx...".
#pragma once

#include <cstdlib>
#include <cstring>

namespace sigil {

inline const char* forced_level() noexcept {
    const char* const level = std::getenv("SIGIL_NATIVE_LEVEL");
    return level == nullptr ? "" : level;
}

inline bool level_has_ssse3() noexcept { return std::strcmp(forced_level(), "portable") != 0; }

inline bool level_has_avx2() noexcept {
    return *forced_level() == '\0' || std::strncmp(forced_level(), "avx", 3) == 0;
}

}  // namespace sigil
