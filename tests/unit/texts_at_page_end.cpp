// Canonicalises texts that end with their page, before memory that cannot be read, at every length up to a few
// blocks, and the same texts elsewhere. What lies behind a text must not show either. LEVEL is defined by whoever
// compiles this: the namespace of one set of vector instructions.
#include <sys/mman.h>

#include <cstdio>
#include <cstring>

#include "json_levels.h"

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kLongest = 200;

// An array of a string and a number that together have this many bytes.
void write_text(std::uint8_t* text, std::size_t length) {
    std::memset(text, 'a', length);
    std::memcpy(text, "[\"", 2);
    std::memcpy(text + length - 4, "\",1]", 4);
}

bool same_at(sigil::Transcode transcode, const std::uint8_t* text, std::size_t length, bool good) {
    sigil::Scratch scratch;
    sigil::ByteBuffer out;
    const sigil::JsonOptions options;
    const bool done = transcode(text, length, options, scratch, out) == sigil::Outcome::done;
    return done == good && (!good || (out.size() == length && std::memcmp(out.data(), text, length) == 0));
}

bool check(sigil::Transcode transcode, std::uint8_t* end) {
    // On the page that a text begins on lies more than it needs, which is read, and looks like more of the text.
    alignas(kPage) static std::uint8_t elsewhere[kPage];
    std::memset(elsewhere, '"', sizeof elsewhere);
    for (std::size_t length = 6; length <= kLongest; ++length) {
        for (std::uint8_t* const text : {end - length, elsewhere + 1}) {
            write_text(text, length);
            const bool good = same_at(transcode, text, length, true);
            text[length - 1] = 0x80;
            if (!good || !same_at(transcode, text, length, false)) {
                std::printf("%zu bytes\n", length);
                return false;
            }
        }
    }
    return true;
}

}  // namespace

int main() {
    void* const pages = mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return 2;
    std::uint8_t* const end = static_cast<std::uint8_t*>(pages) + kPage;
    if (mprotect(end, kPage, PROT_NONE) != 0) return 2;
    return check(sigil::LEVEL::transcode, end) ? 0 : 1;
}
