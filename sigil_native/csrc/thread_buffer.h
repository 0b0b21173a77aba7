// One buffer a thread for bytes on their way to a result, so that no call allocates.
#pragma once

#include "byte_buffer.h"
#include "thread_owned.h"

namespace sigil {

// What a thread keeps of it between calls, at most: shrink_if_above() after use.
constexpr std::size_t kKeptBuffer = std::size_t{1} << 20;

inline ByteBuffer& thread_buffer() noexcept { return thread_owned<ByteBuffer>(); }

// Memory for the results of batches, which whoever needs it swaps for an empty buffer, and swaps back in the end:
// Python code may run in between, and a batch in that finds it gone. Fresh memory would cost a fault for each page.
struct SpareBuffer {
    ByteBuffer bytes;
};
inline ByteBuffer& spare_buffer() noexcept { return thread_owned<SpareBuffer>().bytes; }

}  // namespace sigil
