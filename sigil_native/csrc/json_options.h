// How strict a canonicaliser is.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sigil {

struct JsonOptions {
    std::uint32_t max_depth = 512;
    bool exact_integers = false;
    std::size_t max_bytes = SIZE_MAX;
};

}  // namespace sigil
