// The two ends of an audit log's line, found without reading what is between them:
//
//   {"seq":N,…members…,"chain":"T"}
//   {"seq":N,"format":"sigil-audit/1","key_id":"8 hex digits","previous":"T",…members…,"chain":"T"}
//
// T is a tag, 32 bytes in base64url: 43 characters.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace sigil {

constexpr std::size_t kLongestAuditLine = 65536;  // with its newline
constexpr std::size_t kChainSize = 55;            // from `,"chain":"` to the end of the line
constexpr std::size_t kSpelledTagSize = 43;
constexpr std::uint64_t kLastAuditSequence = (std::uint64_t{1} << 53) - 1;
// The longest text before the members: `{"seq":`, 16 digits, and what a begin line has.
constexpr std::size_t kLongestAuditHead = 160;

// The names are those of AuditFormatError in errors.py, in the order of the checks.
enum class AuditProblem : std::uint8_t { none, too_large, shape, sequence, begin };
const char* audit_problem_name(AuditProblem problem) noexcept;

struct AuditLine {
    std::uint64_t sequence;
    std::size_t message_size;     // what the tag is made over
    const std::uint8_t* chain;    // the tag, spelled; nothing is known of its characters yet
    const std::uint8_t* previous; // the same of a begin line; null in others
    std::uint32_t key_id;         // of a begin line
};

// Reads a line without its newline.
AuditProblem read_audit_line(const std::uint8_t* line, std::size_t size, AuditLine& out) noexcept;

// What stands around the fields.
namespace audit {
inline constexpr std::string_view kBefore = "{\"seq\":";
inline constexpr std::string_view kBegin = ",\"format\":\"sigil-audit/1\",\"key_id\":\"";
inline constexpr std::string_view kPrevious = "\",\"previous\":\"";
inline constexpr std::string_view kChain = ",\"chain\":\"";
inline constexpr std::string_view kAfter = "\"}";

inline std::uint8_t* write(std::string_view text, std::uint8_t* out) noexcept {
    std::memcpy(out, text.data(), text.size());
    return out + text.size();
}
}  // namespace audit

// Write `{"seq":N`, and a begin line's own members up to where the spelled tag goes.
// Both together need kLongestAuditHead bytes with that tag and its quotation mark. Return the end.
inline std::uint8_t* write_audit_sequence(std::uint64_t sequence, std::uint8_t* out) noexcept {
    char digits[20];
    const auto written = std::to_chars(digits, digits + sizeof digits, sequence);
    return audit::write({digits, static_cast<std::size_t>(written.ptr - digits)}, audit::write(audit::kBefore, out));
}
inline std::uint8_t* write_audit_begin(std::uint32_t key_id, std::uint8_t* out) noexcept {
    out = audit::write(audit::kBegin, out);
    for (int shift = 28; shift >= 0; shift -= 4) {
        *out++ = static_cast<std::uint8_t>("0123456789abcdef"[key_id >> shift & 15]);
    }
    return audit::write(audit::kPrevious, out);
}

// Writes `,"chain":"`; the spelled tag and `"}` follow. Returns the end.
inline std::uint8_t* write_audit_chain(std::uint8_t* out) noexcept { return audit::write(audit::kChain, out); }

}  // namespace sigil
