#include <cstring>
#include <string_view>

#include "json_levels.h"

namespace sigil {
namespace {

constexpr std::size_t kBlock = 64;

// Each stands 64 times in a row: all its bytes then come to every place of a block, because its
// size is odd. Quotes and backslashes in strings; white space of all kinds beside punctuation.
constexpr std::string_view kValues[] = {"\"\\\\\\\" \x7f\",", "[ 1\n,\t1\r ],", "{\"\": 1 },"};
// More members than AVX2 ranks at a time, and numbers in other words.
constexpr std::string_view kLast =
    "{\"t\":-1.50,\"s\":1e1,\"r\":0,\"q\":0,\"p\":0,\"o\":0,\"n\":0,\"m\":0,\"l\":0,\"k\":0,\"j\":0,\"i\":0,\"h\":0,\"g\":0,"
    "\"f\":0,\"e\":0,\"d\":0,\"c\":0,\"b\":0,\"a\":0}]";

// Whether the canonical form of a long text is what the portable level makes of it.
bool agrees(Transcode transcode, Scratch& scratch) noexcept {
    char text[kBlock * 32 + kLast.size()] = {'['};
    std::size_t size = 1;
    for (const std::string_view value : kValues) {
        for (std::size_t i = 0; i < kBlock; ++i, size += value.size()) {
            std::memcpy(text + size, value.data(), value.size());
        }
    }
    std::memcpy(text + size, kLast.data(), kLast.size());
    size += kLast.size();
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(text);
    const JsonOptions options;
    ByteBuffer found, right;
    return transcode(bytes, size, options, scratch, found) == Outcome::done &&
           portable::transcode(bytes, size, options, scratch, right) == Outcome::done &&
           found.size() == right.size() && std::memcmp(found.data(), right.data(), right.size()) == 0;
}

// Text that is wrong at one place of a block.
bool refuses(Transcode transcode, std::size_t place, Scratch& scratch) noexcept {
    std::uint8_t text[kBlock + 5];
    const auto is_refused = [&] {
        ByteBuffer out;
        return transcode(text, sizeof text, JsonOptions(), scratch, out) == Outcome::refused;
    };
    // A control character, and half of a character, in a string.
    std::memset(text, '-', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    text[1 + place] = static_cast<std::uint8_t>(place % 0x20);
    if (!is_refused()) return false;
    text[1 + place] = static_cast<std::uint8_t>(0x80 | place);
    if (!is_refused()) return false;
    // White space that parts a number, and a control character that is none.
    std::memset(text, ' ', sizeof text);
    std::memcpy(text + place, "[1 2]", 5);
    if (!is_refused()) return false;
    std::memcpy(text + place, "[1\f ]", 5);
    return is_refused();
}

}  // namespace

bool proves_itself(Transcode transcode) noexcept {
    Scratch scratch;
    if (!agrees(transcode, scratch)) return false;
    for (std::size_t place = 0; place < kBlock; ++place) {
        if (!refuses(transcode, place, scratch)) return false;
    }
    return true;
}

}  // namespace sigil
