#include "base64url.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "forced_level.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define SIGIL_SSSE3 __attribute__((target("ssse3")))
#endif

namespace sigil {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kNoDigit = 0xFF;

constexpr std::array<std::uint8_t, 256> digit_values() noexcept {
    std::array<std::uint8_t, 256> values{};
    for (auto& value : values) value = kNoDigit;
    for (int i = 0; i < 64; ++i) values[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
    return values;
}
constexpr auto kDigits = digit_values();

std::uint8_t character(std::uint32_t six_bits) noexcept {
    return static_cast<std::uint8_t>(kAlphabet[six_bits & 63]);
}

#ifdef SIGIL_SSSE3

// Twelve of sixteen bytes become sixteen characters: those from kSkipped on. Two multiplications move the four
// six-bit fields of each three bytes into bytes of their own (Muła, "Base64
// encoding with SIMD instructions", 2016); a second look-up, by the range that a
// field lies in, gives what to add to make it a character.
template <int kSkipped>
SIGIL_SSSE3 inline __m128i characters(__m128i input) noexcept {
    const __m128i spread = _mm_add_epi8(_mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10),
                                        _mm_set1_epi8(kSkipped));
    // Ranges: 0 for a to z, 1 to 10 for the digits, 11 for '-', 12 for '_', 13 for A to Z.
    const __m128i shifts = _mm_setr_epi8('a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,
                                         '0' - 52, '0' - 52, '0' - 52, '0' - 52, '-' - 62, '_' - 63, 'A', 0, 0);
    const __m128i groups = _mm_shuffle_epi8(input, spread);
    const __m128i high =
        _mm_mulhi_epu16(_mm_and_si128(groups, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
    const __m128i low =
        _mm_mullo_epi16(_mm_and_si128(groups, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
    const __m128i fields = _mm_or_si128(high, low);
    const __m128i upper = _mm_and_si128(_mm_cmplt_epi8(fields, _mm_set1_epi8(26)), _mm_set1_epi8(13));
    const __m128i ranges = _mm_or_si128(_mm_subs_epu8(fields, _mm_set1_epi8(51)), upper);
    return _mm_add_epi8(fields, _mm_shuffle_epi8(shifts, ranges));
}

// Fewer bytes have no sixteen before the end of their last whole group of three.
constexpr std::size_t kFewestForVectors = 18;

// All whole groups of three. But for the first, vectors begin four bytes early, so that none reads past the end; the
// last writes some characters once more: how many are left behind those before is hard to foresee.
SIGIL_SSSE3 std::size_t write_vectors(const std::uint8_t* bytes, std::size_t size, std::uint8_t* out) noexcept {
    const auto load = [](const std::uint8_t* from) SIGIL_SSSE3 {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    };
    const auto store = [](std::uint8_t* to, __m128i text) SIGIL_SSSE3 {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), text);
    };
    const std::size_t whole = size / 3 * 3;
    std::uint8_t* const end = out + whole / 3 * 4;
    store(out, characters<0>(load(bytes)));
    for (std::size_t done = 12; done + 12 < whole; done += 12) {
        out += 16;
        store(out, characters<4>(load(bytes + done - 4)));
    }
    store(end - 16, characters<4>(load(bytes + whole - 16)));
    return whole;
}

// Loads as wide as the stores that wrote the tag a moment ago, and at the same places: any other would wait until
// those have reached the cache. What lies across two of them is put together in registers.
SIGIL_SSSE3 void write_two_halves(const std::uint8_t* first, const std::uint8_t* second, std::uint8_t* out) noexcept {
    const auto load = [](const std::uint8_t* from) SIGIL_SSSE3 {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    };
    const __m128i a = load(first), b = load(first + 16), c = load(second), d = load(second + 16);
    const __m128i twelves[] = {a, _mm_alignr_epi8(b, a, 12), _mm_alignr_epi8(c, b, 8), _mm_alignr_epi8(d, c, 4), d};
    for (int i = 0; i < 5; ++i) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * i), characters<0>(twelves[i]));
    }
    // Four bytes are left, which become six characters.
    const __m128i last = characters<0>(_mm_srli_si128(d, 12));
    const int four = _mm_cvtsi128_si32(last);
    const auto two = static_cast<std::uint16_t>(_mm_extract_epi16(last, 2));
    std::memcpy(out + 80, &four, 4);
    std::memcpy(out + 84, &two, 2);
}

// Which bytes lie in a range of ASCII.
SIGIL_SSSE3 __m128i between(__m128i text, char first, char last) noexcept {
    return _mm_and_si128(_mm_cmpgt_epi8(text, _mm_set1_epi8(static_cast<char>(first - 1))),
                         _mm_cmplt_epi8(text, _mm_set1_epi8(static_cast<char>(last + 1))));
}

// Sixteen characters become twelve bytes, written as sixteen: the last four belong
// to what comes next, of which there must be as much. Returns the characters read
// before the first that is not of the alphabet, or before the last few.
SIGIL_SSSE3 std::size_t read_vectors(const std::uint8_t* text, std::size_t size, std::uint8_t* out) noexcept {
    constexpr std::size_t kRoomForFour = 6;
    const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    std::size_t done = 0;
    for (; done + 16 + kRoomForFour <= size; done += 16, out += 12) {
        const __m128i input = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + done));
        const __m128i upper = between(input, 'A', 'Z');
        const __m128i lower = between(input, 'a', 'z');
        const __m128i digit = between(input, '0', '9');
        const __m128i minus = _mm_cmpeq_epi8(input, _mm_set1_epi8('-'));
        const __m128i under = _mm_cmpeq_epi8(input, _mm_set1_epi8('_'));
        const __m128i known =
            _mm_or_si128(_mm_or_si128(_mm_or_si128(upper, lower), _mm_or_si128(digit, minus)), under);
        if (_mm_movemask_epi8(known) != 0xFFFF) break;
        const __m128i letters = _mm_or_si128(_mm_and_si128(upper, _mm_set1_epi8(-'A')),
                                             _mm_and_si128(lower, _mm_set1_epi8(26 - 'a')));
        const __m128i others = _mm_or_si128(
            _mm_and_si128(digit, _mm_set1_epi8(52 - '0')),
            _mm_or_si128(_mm_and_si128(minus, _mm_set1_epi8(62 - '-')), _mm_and_si128(under, _mm_set1_epi8(63 - '_'))));
        const __m128i fields = _mm_add_epi8(input, _mm_or_si128(letters, others));
        const __m128i pairs = _mm_maddubs_epi16(fields, _mm_set1_epi32(0x01400140));
        const __m128i groups = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(groups, order));
    }
    return done;
}

const bool kHasVectors = __builtin_cpu_supports("ssse3") != 0 && level_has_ssse3();

#endif

}  // namespace

std::uint8_t* write_base64url(const std::uint8_t* bytes, std::size_t size, std::uint8_t* out) noexcept {
    std::size_t i = 0;
#ifdef SIGIL_SSSE3
    if (kHasVectors && size >= kFewestForVectors) {
        i = write_vectors(bytes, size, out);
        out += i / 3 * 4;
    }
#endif
    for (; i + 3 <= size; i += 3, out += 4) {
        const std::uint32_t group = static_cast<std::uint32_t>(bytes[i] << 16 | bytes[i + 1] << 8 | bytes[i + 2]);
        out[0] = character(group >> 18);
        out[1] = character(group >> 12);
        out[2] = character(group >> 6);
        out[3] = character(group);
    }
    if (i < size) {
        const bool two = size - i == 2;
        const std::uint32_t group = static_cast<std::uint32_t>(bytes[i] << 16 | (two ? bytes[i + 1] << 8 : 0));
        *out++ = character(group >> 18);
        *out++ = character(group >> 12);
        if (two) *out++ = character(group >> 6);
    }
    return out;
}

std::uint8_t* write_base64url_halves(const std::uint8_t* first, const std::uint8_t* second,
                                     std::uint8_t* out) noexcept {
#ifdef SIGIL_SSSE3
    if (kHasVectors) {
        write_two_halves(first, second, out);
        return out + base64url_size(64);
    }
#endif
    std::uint8_t bytes[64];
    std::memcpy(bytes, first, 32);
    std::memcpy(bytes + 32, second, 32);
    return write_base64url(bytes, sizeof bytes, out);
}

bool is_base64url(const std::uint8_t* text, std::size_t size) noexcept {
    // No digit is larger than 63, so a missing one shows in the union of all.
    std::uint8_t seen = 0;
    for (std::size_t i = 0; i < size; ++i) seen |= kDigits[text[i]];
    return seen <= 63;
}

bool has_unused_bits(const std::uint8_t* text, std::size_t size) noexcept {
    const std::size_t rest = size % 4;
    if (rest == 0) return false;
    return (kDigits[text[size - 1]] & (rest == 2 ? 0x0F : 0x03)) != 0;
}

bool is_base64url_of(const std::uint8_t* text, std::size_t size, const std::uint8_t* bytes,
                     std::size_t count) noexcept {
    if (size != base64url_size(count)) return false;
    // Parts of whole groups of three: their spellings join to that of all.
    constexpr std::size_t kPart = 768;
    std::uint8_t spelled[base64url_size(kPart)];
    while (count != 0) {
        const std::size_t part = std::min(count, kPart);
        const std::size_t length = static_cast<std::size_t>(write_base64url(bytes, part, spelled) - spelled);
        if (std::memcmp(spelled, text, length) != 0) return false;
        text += length;
        bytes += part;
        count -= part;
    }
    return true;
}

bool read_base64url(const std::uint8_t* text, std::size_t size, std::uint8_t* out) noexcept {
    std::uint8_t seen = 0;
    const auto digit = [&](std::size_t i) {
        const std::uint8_t value = kDigits[text[i]];
        seen |= value;
        return static_cast<std::uint32_t>(value);
    };
    std::size_t i = 0;
#ifdef SIGIL_SSSE3
    if (kHasVectors) {
        i = read_vectors(text, size, out);
        out += i / 4 * 3;
    }
#endif
    for (; i + 4 <= size; i += 4, out += 3) {
        const std::uint32_t group = digit(i) << 18 | digit(i + 1) << 12 | digit(i + 2) << 6 | digit(i + 3);
        out[0] = static_cast<std::uint8_t>(group >> 16);
        out[1] = static_cast<std::uint8_t>(group >> 8);
        out[2] = static_cast<std::uint8_t>(group);
    }
    if (size - i >= 2) {
        const std::uint32_t group = digit(i) << 18 | digit(i + 1) << 12 | (size - i == 3 ? digit(i + 2) << 6 : 0);
        *out++ = static_cast<std::uint8_t>(group >> 16);
        if (size - i == 3) *out = static_cast<std::uint8_t>(group >> 8);
    }
    return seen <= 63;
}

}  // namespace sigil
