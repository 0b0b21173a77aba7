// Reading past the end of what one was given, where that cannot fault.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__GNUC__)
#define SIGIL_READS_BEYOND __attribute__((no_sanitize("address")))
#elif defined(_MSC_VER)
#define SIGIL_READS_BEYOND __declspec(no_sanitize_address)
#else
#define SIGIL_READS_BEYOND
#endif

namespace sigil {

// Whether `size` bytes from there on lie on one page: where the first of them may be read, all may, whatever they
// are. A function that does so says SIGIL_READS_BEYOND, so that AddressSanitizer knows that it means it.
inline bool stays_on_page(const void* from, std::size_t size) noexcept {
    constexpr std::uintptr_t kPage = 4096;
    return (reinterpret_cast<std::uintptr_t>(from) & (kPage - 1)) <= kPage - size;
}

}  // namespace sigil
