// Copies texts whose closing zero is the last byte before memory that cannot be read, at every length that one load
// takes and a few more.
#include <sys/mman.h>

#include <cstdio>
#include <cstring>

#include "json_string.h"

int main() {
    constexpr std::size_t kPage = 4096;
    constexpr std::size_t kLongest = 40;
    void* const pages = mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return 2;
    std::uint8_t* const end = static_cast<std::uint8_t*>(pages) + kPage;
    if (mprotect(end, kPage, PROT_NONE) != 0) return 2;
    for (std::size_t length = 0; length <= kLongest; ++length) {
        std::uint8_t out[kLongest + sigil::kStringSlack];
        std::uint8_t* const text = end - 1 - length;
        std::memset(end - 1 - kLongest, '"', kLongest);  // what lies before does not count
        std::memset(text, 'a', length);
        if (!sigil::copy_plain_ascii(text, length, out) || std::memcmp(out, text, length) != 0) {
            std::printf("plain text of %zu characters\n", length);
            return 1;
        }
        for (std::size_t i = 0; i < length; ++i) {
            text[i] = i % 2 == 0 ? '"' : '\x1f';
            if (sigil::copy_plain_ascii(text, length, out)) {
                std::printf("character %zu of %zu\n", i, length);
                return 1;
            }
            text[i] = 'a';
        }
    }
    return 0;
}
