// One vector level of the transcoder, named on the command line, beside the portable one: the
// files of the folders given, sequences that are UTF-8 or nearly so, names in an order that is
// easily wrong, and text made at random and with malice, whole and damaged. Each text ends at
// the end of readable memory. Exit status 0: always the same.
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "json_diagnosis.h"
#include "json_levels.h"

namespace {

using namespace sigil;
using Chance = std::mt19937_64;

#if SIGIL_X86_LEVELS
// The processor lacks the instructions, so the choice at import calls it not usable.
const VectorLevel kTested = {"avx512", true, avx512::transcode};
#else
const VectorLevel kTested = {"neon", true, neon::transcode};
#endif
const VectorLevel kRight = {"portable", true, portable::transcode};

constexpr std::size_t kRoom = std::size_t{1} << 20;
std::uint8_t* end = nullptr;
unsigned long texts = 0;
unsigned long accepted = 0;
unsigned long wrong = 0;

void make_room() {
    constexpr std::size_t kPage = 65536;
    void* const memory = mmap(nullptr, kRoom + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(static_cast<char*>(memory) + kRoom, kPage, PROT_NONE) != 0) std::abort();
    end = static_cast<std::uint8_t*>(memory) + kRoom;
}

void compare(const std::string& text) {
    if (text.size() > kRoom) return;
    std::uint8_t* const bytes = end - text.size();
    if (!text.empty()) std::memcpy(bytes, text.data(), text.size());
    ByteBuffer found, right;
    Failure found_failure, right_failure;
    const JsonOptions options;
    const bool done = canonicalize_text_at(kTested, bytes, text.size(), options, found, found_failure);
    const bool right_done = canonicalize_text_at(kRight, bytes, text.size(), options, right, right_failure);
    ++texts;
    accepted += right_done;
    bool same = done == right_done;
    if (same && done) {
        same = found.size() == right.size() && std::memcmp(found.data(), right.data(), found.size()) == 0;
    } else if (same) {
        same = found_failure.problem == right_failure.problem && found_failure.offset == right_failure.offset;
    }
    if (same) return;
    if (++wrong <= 5) std::printf("differs: %s\n", text.substr(0, 2000).c_str());
}

std::size_t below(Chance& chance, std::size_t limit) { return chance() % limit; }

std::string pick(Chance& chance, std::initializer_list<const char*> choices) {
    return choices.begin()[below(chance, choices.size())];
}

std::string space(Chance& chance) {
    switch (below(chance, 12)) {
        case 0: return std::string(below(chance, 150), ' ');
        case 1: return pick(chance, {"\n", "\t", "\r\n", "\n  ", " \t \n"});
        case 2: return " ";
        default: return "";
    }
}

// Quotes, runs of backslashes and wide characters at every place of a block.
std::string string(Chance& chance) {
    std::string text = "\"";
    for (std::size_t i = below(chance, 6); i-- > 0;) {
        switch (below(chance, 8)) {
            case 0: text += std::string(2 * below(chance, 70), '\\'); break;
            case 1: text += pick(chance, {"\\\"", "\\n", "\\/", "\\u0041", "\\ud83d\\ude00", "\\u001f", "\\u20ac"}); break;
            case 2: text += pick(chance, {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xef\xbf\xbd", "\x7f"}); break;
            case 3: text += pick(chance, {"{", "}", "[", "]", ":", ",", " ", "{\"", "id", "at"}).substr(0, 1); break;
            default: text += std::string(below(chance, 20), static_cast<char>('a' + below(chance, 26))); break;
        }
    }
    return text + "\"";
}

std::string number(Chance& chance) {
    switch (below(chance, 6)) {
        case 0: return pick(chance, {"0", "-0", "1e21", "1E-7", "9007199254740991", "5e-324", "0.1", "-1.50", "1e400"});
        case 1: return std::to_string(below(chance, 100000)) + "." + std::to_string(below(chance, 100));
        case 2: return std::to_string(chance() >> 12) + "e-" + std::to_string(below(chance, 30));
        default: return std::to_string(below(chance, 1000000));
    }
}

std::string value(Chance& chance, int depth) {
    const std::size_t kind = below(chance, depth > 0 ? 8 : 5);
    if (kind == 0) return pick(chance, {"true", "false", "null"});
    if (kind <= 2) return number(chance);
    if (kind <= 4) return string(chance);
    const bool object = kind > 5;
    std::string text = object ? "{" : "[";
    // Now and then more members than are ranked by comparing each with each.
    const std::size_t count = below(chance, 40) == 0 ? 150 : below(chance, 7);
    for (std::size_t i = 0; i < count; ++i) {
        if (i != 0) text += ",";
        text += space(chance);
        if (object) {
            text += below(chance, 3) != 0 ? "\"" + std::to_string(chance() % 100000) + "\"" : string(chance);
            text += space(chance) + ":" + space(chance);
        }
        text += value(chance, count > 100 ? 0 : depth - 1) + space(chance);
    }
    return text + (object ? "}" : "]");
}

std::string damaged(Chance& chance, std::string text) {
    for (std::size_t i = 1 + below(chance, 2); i-- > 0 && !text.empty();) {
        const std::size_t at = below(chance, text.size());
        const char byte = "\"\\{}[]:,0 \n\x01\x1f\x80\xff\xed"[below(chance, 16)];
        switch (below(chance, 3)) {
            case 0: text[at] = byte; break;
            case 1: text.insert(at, 1, byte); break;
            default: text.erase(at, 1 + below(chance, 3)); break;
        }
    }
    return text;
}

// Every byte before all upper halves of two more and up to three that continue, at the borders of vectors,
// at the end of a text and before more of it: all that the tables of json_utf8_rules.h can be asked.
void compare_sequences() {
    constexpr std::size_t kBorders[] = {11, 12, 13, 14, 27, 28, 29, 30, 59, 60, 61, 62, 75};
    std::size_t number = 0;
    for (unsigned lead = 0; lead < 256; ++lead) {
        for (unsigned second = 0; second < 256; second += 16) {
            for (unsigned third = 0; third < 256; third += 16) {
                const unsigned lower = (lead + second / 16 + third / 16) % 16;
                std::string text = "[\"" + std::string(kBorders[number++ % std::size(kBorders)], 'x');
                for (const unsigned byte : {lead, second + lower, third + 15 - lower}) text += static_cast<char>(byte);
                for (std::size_t more = 0; more < 4; ++more) {
                    compare(text + std::string(more, '\x9f') + std::string(more % 2 * 40, 'y') + "\"]");
                }
            }
        }
    }
}

// Names that UTF-8 orders otherwise than UTF-16, at every place of a vector, with lesser ones far behind.
void compare_orders() {
    for (std::size_t before = 0; before < 64; ++before) {
        const std::string first = "{\"" + std::string(before, 'x') + "\":1,";
        compare(first + "\"\xee\x80\x80\":2,\"\xf0\x90\x80\x80\":3,\"" + std::string(80, 'y') + "\xc3\xa4\":4}");
    }
}

void compare_files(const char* folder) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (!entry.is_regular_file()) continue;
        std::ifstream file(entry.path(), std::ios::binary);
        compare({std::istreambuf_iterator<char>(file), {}});
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 3 || std::strcmp(arguments[1], kTested.name) != 0) return 2;
    if (!proves_itself(kTested.transcode)) {
        std::puts("passed over by the choice at import");
        return 1;
    }
    make_room();
    for (int i = 3; i < count; ++i) compare_files(arguments[i]);
    compare_sequences();
    compare_orders();
    Chance chance(8259);
    for (int round = std::atoi(arguments[2]); round-- > 0;) {
        const std::string text = std::string(below(chance, 70), ' ') + value(chance, 3) + space(chance);
        compare(text);
        compare(damaged(chance, text));
        // Everything else that 64 bytes can be.
        std::string bytes(below(chance, 200), ' ');
        for (char& byte : bytes) byte = "\"\"\\\\{}[]:,1 a\n\xc3\xa4"[below(chance, 16)];
        compare(bytes);
    }
    std::printf("%s: %lu texts, %lu of them accepted, %lu differ\n", kTested.name, texts, accepted, wrong);
    return wrong == 0 ? 0 : 1;
}
