#include "sigil_format.h"

#include <array>
#include <cstring>

namespace sigil {
namespace {

constexpr char kPrefix[] = "sgl1_";
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr char kBases[] = "ACGT";
constexpr std::uint8_t kNoDigit = 0xFF;

constexpr std::array<std::uint8_t, 256> digits_of(const char* alphabet, int count) noexcept {
    std::array<std::uint8_t, 256> digits{};
    for (auto& digit : digits) digit = kNoDigit;
    for (int i = 0; i < count; ++i) digits[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(i);
    return digits;
}
constexpr auto kBase64Digits = digits_of(kBase64, 64);
constexpr auto kBaseDigits = digits_of(kBases, 4);

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

// No digit is larger than 63, so a missing one shows in the high bits of the union.
bool has_foreign_character(const std::uint8_t* text, std::size_t size) noexcept {
    std::uint8_t seen = 0;
    for (std::size_t i = 0; i < size; ++i) seen |= kBase64Digits[text[i]];
    return seen > 63;
}

bool has_trailing_bits(const std::uint8_t* text, std::size_t size) noexcept {
    const std::size_t rest = size % 4;
    if (rest == 0) return false;
    const unsigned unused = rest == 2 ? 0x0F : 0x03;
    return (kBase64Digits[text[size - 1]] & unused) != 0;
}

FormatProblem read_strand(const std::uint8_t* strand, std::uint8_t* out) noexcept {
    std::uint8_t seen = 0;
    for (std::size_t i = 0; i < kSigilSize; ++i, strand += 4) {
        const std::uint8_t a = kBaseDigits[strand[0]], b = kBaseDigits[strand[1]];
        const std::uint8_t c = kBaseDigits[strand[2]], d = kBaseDigits[strand[3]];
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

std::uint8_t* write_base64url(const std::uint8_t* bytes, std::size_t size, std::uint8_t* out) noexcept {
    const auto digit = [](std::uint32_t six_bits) { return static_cast<std::uint8_t>(kBase64[six_bits & 63]); };
    std::size_t i = 0;
    for (; i + 3 <= size; i += 3, out += 4) {
        const std::uint32_t group =
            static_cast<std::uint32_t>(bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2]);
        out[0] = digit(group >> 18);
        out[1] = digit(group >> 12);
        out[2] = digit(group >> 6);
        out[3] = digit(group);
    }
    if (i < size) {
        const bool two = size - i == 2;
        const std::uint32_t group = static_cast<std::uint32_t>(bytes[i] << 16 | (two ? bytes[i + 1] << 8 : 0));
        *out++ = digit(group >> 18);
        *out++ = digit(group >> 12);
        if (two) *out++ = digit(group >> 6);
    }
    return out;
}

FormatProblem read_base64url(const std::uint8_t* text, std::size_t size, std::uint8_t* out) noexcept {
    if (has_foreign_character(text, size)) return FormatProblem::alphabet;
    if (has_trailing_bits(text, size)) return FormatProblem::trailing_bits;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (std::size_t i = 0; i < size; ++i) {
        bits = bits << 6 | kBase64Digits[text[i]];
        held += 6;
        if (held >= 8) {
            held -= 8;
            *out++ = static_cast<std::uint8_t>(bits >> held);
        }
    }
    return FormatProblem::none;
}

std::uint8_t* write_text(const std::uint8_t* sigil, std::uint8_t* out) noexcept {
    std::memcpy(out, kPrefix, kPrefixSize);
    return write_base64url(sigil, kSigilSize, out + kPrefixSize);
}

std::uint8_t* write_strand(const std::uint8_t* sigil, std::uint8_t* out) noexcept {
    for (std::size_t i = 0; i < kSigilSize; ++i, out += 4) std::memcpy(out, kSpellings.letters[sigil[i]], 4);
    return out;
}

FormatProblem parse_sigil(const std::uint8_t* data, std::size_t size, bool binary_allowed, ParsedSigil& out) noexcept {
    out.payload = nullptr;
    out.payload_size = 0;
    FormatProblem problem = FormatProblem::none;
    if (binary_allowed && size == kSigilSize) {
        std::memcpy(out.bytes, data, kSigilSize);
    } else if (size >= kTextSize && std::memcmp(data, kPrefix, kPrefixSize) == 0) {
        const std::uint8_t* payload = data + kTextSize + 1;
        if (size > kTextSize) {
            if (size < kTextSize + 2 || data[kTextSize] != '.') return FormatProblem::shape;
            out.payload_size = size - kTextSize - 1;
            if (out.payload_size % 4 == 1) return FormatProblem::shape;
            if (has_foreign_character(payload, out.payload_size)) problem = FormatProblem::alphabet;
        }
        const FormatProblem seal = read_base64url(data + kPrefixSize, kTextSize - kPrefixSize, out.bytes);
        if (seal == FormatProblem::alphabet || problem == FormatProblem::alphabet) return FormatProblem::alphabet;
        if (seal != FormatProblem::none) return seal;
        if (size > kTextSize) {
            if (has_trailing_bits(payload, out.payload_size)) return FormatProblem::trailing_bits;
            out.payload = payload;
        }
    } else if (size == kStrandSize) {
        problem = read_strand(data, out.bytes);
        if (problem != FormatProblem::none) return problem;
    } else {
        return FormatProblem::shape;
    }
    return check_fields(out.bytes);
}

}  // namespace sigil
