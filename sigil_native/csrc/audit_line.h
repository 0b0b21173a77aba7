// The two ends of an audit log's line, found without reading what is between them:
//
//   {"seq":N,…members…,"chain":"T"}
//   {"seq":N,"format":"sigil-audit/1","key_id":"8 hex digits","previous":"T",…members…,"chain":"T"}
//
// T is a tag, 32 bytes in base64url: 43 characters.
#pragma once

#include <cstddef>
#include <cstdint>

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

// Writes `{"seq":N`, and for a begin line its own members up to where the spelled tag
// goes; `out` has room for kLongestAuditHead bytes. Returns the end.
std::uint8_t* write_audit_sequence(std::uint64_t sequence, std::uint8_t* out) noexcept;
std::uint8_t* write_audit_begin(std::uint32_t key_id, std::uint8_t* out) noexcept;

// Writes `,"chain":"`; the spelled tag and `"}` follow. Returns the end.
std::uint8_t* write_audit_chain(std::uint8_t* out) noexcept;

}  // namespace sigil
