// One buffer a thread for the bytes of a single seal, so that no call allocates.
#pragma once

#include "byte_buffer.h"

namespace sigil {

// What a thread may keep between calls.
constexpr std::size_t kLargestScratch = 1 << 20;

inline ByteBuffer& thread_scratch() noexcept {
    thread_local ByteBuffer buffer;
    return buffer;
}

}  // namespace sigil
