#include "sigil_format.h"

#include <array>
#include <cstring>

namespace sigil {
namespace {

constexpr char kPrefix[] = "sgl1_";
constexpr char kBases[] = "ACGT";
constexpr std::uint8_t kNoBase = 0xFF;

constexpr std::array<std::uint8_t, 256> base_values() noexcept {
    std::array<std::uint8_t, 256> values{};
    for (auto& value : values) value = kNoBase;
    for (int i = 0; i < 4; ++i) values[static_cast<std::uint8_t>(kBases[i])] = static_cast<std::uint8_t>(i);
    return values;
}
constexpr auto kBaseValues = base_values();

// Four letters a byte: a table of every byte's spelling.
struct Spellings {
    char letters[256][4];
};
constexpr Spellings spell_bytes() noexcept {
    Spellings table{};
    for (int byte = 0; byte < 256; ++byte)
        for (int i = 0; i < 4; ++i) table.letters[byte][i] = kBases[byte >> (6 - 2 * i) & 3];
    return table;
}
constexpr Spellings kSpellings = spell_bytes();

FormatProblem read_strand(const std::uint8_t* strand, std::uint8_t* out) noexcept {
    std::uint8_t seen = 0;
    for (std::size_t i = 0; i < kSigilSize; ++i, strand += 4) {
        const std::uint8_t a = kBaseValues[strand[0]], b = kBaseValues[strand[1]];
        const std::uint8_t c = kBaseValues[strand[2]], d = kBaseValues[strand[3]];
        seen = static_cast<std::uint8_t>(seen | a | b | c | d);
        out[i] = static_cast<std::uint8_t>(a << 6 | b << 4 | c << 2 | d);
    }
    return seen > 3 ? FormatProblem::alphabet : FormatProblem::none;
}

FormatProblem check_fields(const std::uint8_t* sigil) noexcept {
    if (sigil[0] != 1) return FormatProblem::version;
    if (sigil[1] != 0) return FormatProblem::flags;
    if ((sigil[6] | sigil[7]) != 0) return FormatProblem::reserved;
    // RFC 9562 §4: version in the high half of octet 6, variant 10 in octet 8.
    const std::uint8_t* id = sigil + kIdentifierOffset;
    if (id[6] >> 4 != 7 || id[8] >> 6 != 2) return FormatProblem::identifier;
    return FormatProblem::none;
}

}  // namespace

const char* format_problem_name(FormatProblem problem) noexcept {
    switch (problem) {
        case FormatProblem::none: return "none";
        case FormatProblem::shape: return "shape";
        case FormatProblem::alphabet: return "alphabet";
        case FormatProblem::trailing_bits: return "trailing_bits";
        case FormatProblem::version: return "version";
        case FormatProblem::flags: return "flags";
        case FormatProblem::reserved: return "reserved";
        case FormatProblem::identifier: return "identifier";
    }
    return "none";
}

std::uint8_t* write_text(const std::uint8_t* header, const std::uint8_t* tag, std::uint8_t* out) noexcept {
    static_assert(kHeaderSize == 32 && kTagSize == 32, "two halves");
    std::memcpy(out, kPrefix, kPrefixSize);
    return write_base64url_halves(header, tag, out + kPrefixSize);
}

std::uint8_t* write_strand(const std::uint8_t* sigil, std::uint8_t* out) noexcept {
    for (std::size_t i = 0; i < kSigilSize; ++i, out += 4) std::memcpy(out, kSpellings.letters[sigil[i]], 4);
    return out;
}

FormatProblem parse_sigil(const std::uint8_t* data, std::size_t size, bool binary_allowed, ParsedSigil& out) noexcept {
    out.payload = nullptr;
    out.payload_size = 0;
    if (binary_allowed && size == kSigilSize) {
        std::memcpy(out.bytes, data, kSigilSize);
        return check_fields(out.bytes);
    }
    if (size < kTextSize || std::memcmp(data, kPrefix, kPrefixSize) != 0) {
        if (size != kStrandSize) return FormatProblem::shape;
        const FormatProblem problem = read_strand(data, out.bytes);
        return problem == FormatProblem::none ? check_fields(out.bytes) : problem;
    }
    const std::uint8_t* const seal = data + kPrefixSize;
    constexpr std::size_t kSealSize = kTextSize - kPrefixSize;
    if (size > kTextSize) {
        if (size < kTextSize + 2 || data[kTextSize] != '.') return FormatProblem::shape;
        out.payload = data + kTextSize + 1;
        out.payload_size = size - kTextSize - 1;
        if (out.payload_size % 4 == 1) return FormatProblem::shape;
    }
    const bool spelt = read_base64url(seal, kSealSize, out.bytes);
    if (!spelt || !is_base64url(out.payload, out.payload_size)) return FormatProblem::alphabet;
    if (has_unused_bits(seal, kSealSize) || has_unused_bits(out.payload, out.payload_size)) {
        return FormatProblem::trailing_bits;
    }
    return check_fields(out.bytes);
}

}  // namespace sigil
