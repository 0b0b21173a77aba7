// Offers vector levels that lie to the questions that are asked at import. Exit status 0: every
// lie was found out; otherwise a line says which was not.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "json_bits.h"
#include "json_levels.h"
#include "json_number.h"
#include "json_utf8.h"
#include "page_safe.h"

namespace sigil {
namespace {

enum Mask { kNone, kQuotes, kBackslashes, kSpaces, kControls, kLineSpaces, kNotAscii, kPunctuation, kStore };
Mask lie = kNone;
std::uint64_t set = 0;     // these bits of the mask are always set,
std::uint64_t missed = 0;  // and these never

#define Block HonestBlock
#include "json_block_portable.h"
#undef Block

class Block {
  public:
    explicit Block(const std::uint8_t* bytes) noexcept : honest_(bytes) {}
    std::uint64_t quotes() const noexcept { return told(kQuotes, honest_.quotes()); }
    std::uint64_t backslashes() const noexcept { return told(kBackslashes, honest_.backslashes()); }
    std::uint64_t spaces() const noexcept { return told(kSpaces, honest_.spaces()); }
    std::uint64_t controls() const noexcept { return told(kControls, honest_.controls()); }
    std::uint64_t line_spaces() const noexcept { return told(kLineSpaces, honest_.line_spaces()); }
    std::uint64_t not_ascii() const noexcept { return told(kNotAscii, honest_.not_ascii()); }
    std::uint64_t punctuation() const noexcept { return told(kPunctuation, honest_.punctuation()); }
    void store(std::uint8_t* out) const noexcept {
        honest_.store(out);
        for (std::uint32_t i = 0; lie == kStore && i < 64; ++i) out[i] ^= (set | missed) >> i & 1;
    }

  private:
    static std::uint64_t told(Mask mask, std::uint64_t bits) noexcept {
        return lie == mask ? (bits | set) & ~missed : bits;
    }
    HonestBlock honest_;
};

#include "json_passes.h"

Outcome lying(const std::uint8_t* text, std::size_t size, const JsonOptions& options, Scratch& scratch,
              ByteBuffer& out) noexcept {
    return run_passes(text, size, options, scratch, out);
}

int go() {
    if (!proves_itself(lying) || !proves_itself(portable::transcode)) {
        std::puts("an honest level was passed over");
        return 1;
    }
    int status = 0;
    for (int mask = kQuotes; mask <= kStore; ++mask) {
        lie = static_cast<Mask>(mask);
        for (int place = 0; place < 64; ++place) {
            for (const bool sets : {false, true}) {
                set = std::uint64_t{sets} << place;
                missed = std::uint64_t{!sets} << place;
                // Bytes that are taken for ASCII without need are only looked at in vain.
                if (!proves_itself(lying) || (lie == kNotAscii && sets)) continue;
                std::printf("believed: mask %d, place %d, %s\n", mask, place, sets ? "set" : "missed");
                status = 1;
            }
        }
    }
    return status;
}

}  // namespace
}  // namespace sigil

int main() { return sigil::go(); }
