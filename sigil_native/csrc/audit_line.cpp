#include "audit_line.h"

namespace sigil {
namespace {

using namespace audit;

constexpr std::string_view kFormat = ",\"format\":";
constexpr std::size_t kKeyIdSize = 8;
constexpr std::size_t kMostDigits = 16;

static_assert(kChain.size() + kSpelledTagSize + kAfter.size() == kChainSize);
static_assert(kBefore.size() + kMostDigits + kBegin.size() + kKeyIdSize + kPrevious.size() + kSpelledTagSize + 1 <=
              kLongestAuditHead);

bool starts_with(const std::uint8_t* text, const std::uint8_t* end, std::string_view wanted) noexcept {
    return static_cast<std::size_t>(end - text) >= wanted.size() &&
           std::memcmp(text, wanted.data(), wanted.size()) == 0;
}

// Lower-case hexadecimal digits only; false: another character.
bool read_key_id(const std::uint8_t* text, std::uint32_t& key_id) noexcept {
    key_id = 0;
    for (std::size_t i = 0; i < kKeyIdSize; ++i) {
        const std::uint32_t digit = static_cast<std::uint32_t>(text[i]) - '0';
        const std::uint32_t letter = static_cast<std::uint32_t>(text[i]) - 'a';
        if (digit > 9 && letter > 5) return false;
        key_id = key_id << 4 | (digit <= 9 ? digit : letter + 10);
    }
    return true;
}

// The members that a begin line has of its own; `position` moves behind them.
bool read_begin(const std::uint8_t*& position, const std::uint8_t* end, AuditLine& out) noexcept {
    constexpr std::size_t kSize = kBegin.size() + kKeyIdSize + kPrevious.size() + kSpelledTagSize + 1;
    if (static_cast<std::size_t>(end - position) < kSize || !starts_with(position, end, kBegin)) return false;
    const std::uint8_t* const key_id = position + kBegin.size();
    const std::uint8_t* const previous = key_id + kKeyIdSize + kPrevious.size();
    if (!read_key_id(key_id, out.key_id) || !starts_with(key_id + kKeyIdSize, end, kPrevious)) return false;
    if (previous[kSpelledTagSize] != '"') return false;
    out.previous = previous;
    position = previous + kSpelledTagSize + 1;
    return true;
}

}  // namespace

const char* audit_problem_name(AuditProblem problem) noexcept {
    switch (problem) {
        case AuditProblem::too_large: return "too_large";
        case AuditProblem::sequence: return "sequence";
        case AuditProblem::begin: return "begin";
        case AuditProblem::shape:
        case AuditProblem::none: break;
    }
    return "shape";
}

AuditProblem read_audit_line(const std::uint8_t* line, std::size_t size, AuditLine& out) noexcept {
    if (size >= kLongestAuditLine) return AuditProblem::too_large;
    if (size <= kBefore.size() + kChainSize) return AuditProblem::shape;
    const std::uint8_t* const last = line + size;
    const std::uint8_t* const end = last - kChainSize;
    if (!starts_with(line, end, kBefore) || !starts_with(end, last, kChain) ||
        !starts_with(last - kAfter.size(), last, kAfter)) {
        return AuditProblem::shape;
    }
    const std::uint8_t* position = line + kBefore.size();
    std::uint64_t sequence = 0;
    std::size_t digits = 0;
    for (; position != end && *position >= '0' && *position <= '9'; ++position) {
        if (++digits > kMostDigits) return AuditProblem::sequence;
        sequence = sequence * 10 + (*position - '0');
    }
    if (digits == 0 || line[kBefore.size()] == '0' || sequence > kLastAuditSequence) return AuditProblem::sequence;
    out.sequence = sequence;
    out.message_size = size - kChainSize;
    out.chain = end + kChain.size();
    out.previous = nullptr;
    out.key_id = 0;
    if (starts_with(position, end, kFormat) && !read_begin(position, end, out)) return AuditProblem::begin;
    if (position != end && !starts_with(position, end, ",\"")) return AuditProblem::shape;
    return AuditProblem::none;
}

}  // namespace sigil
