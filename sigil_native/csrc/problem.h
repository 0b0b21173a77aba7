// What can be wrong with a JSON document. The names are those of _problems.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sigil {

enum class Problem : std::uint8_t {
    none,
    unexpected_end,
    expected_value,
    expected_name_or_end,
    expected_name,
    expected_colon,
    expected_comma_or_brace,
    expected_comma_or_bracket,
    control_character,
    invalid_escape,
    invalid_number,
    invalid_literal,
    trailing_data,
    invalid_utf8,
    byte_order_mark,
    lone_surrogate,
    duplicate_name,
    non_finite_number,
    integer_range,
    nesting_too_deep,
    document_too_large,
    out_of_memory,
};

// The enumerator's own name; a static string.
inline const char* problem_name(Problem problem) noexcept {
    switch (problem) {
        case Problem::none: return "none";
        case Problem::unexpected_end: return "unexpected_end";
        case Problem::expected_value: return "expected_value";
        case Problem::expected_name_or_end: return "expected_name_or_end";
        case Problem::expected_name: return "expected_name";
        case Problem::expected_colon: return "expected_colon";
        case Problem::expected_comma_or_brace: return "expected_comma_or_brace";
        case Problem::expected_comma_or_bracket: return "expected_comma_or_bracket";
        case Problem::control_character: return "control_character";
        case Problem::invalid_escape: return "invalid_escape";
        case Problem::invalid_number: return "invalid_number";
        case Problem::invalid_literal: return "invalid_literal";
        case Problem::trailing_data: return "trailing_data";
        case Problem::invalid_utf8: return "invalid_utf8";
        case Problem::byte_order_mark: return "byte_order_mark";
        case Problem::lone_surrogate: return "lone_surrogate";
        case Problem::duplicate_name: return "duplicate_name";
        case Problem::non_finite_number: return "non_finite_number";
        case Problem::integer_range: return "integer_range";
        case Problem::nesting_too_deep: return "nesting_too_deep";
        case Problem::document_too_large: return "document_too_large";
        case Problem::out_of_memory: return "out_of_memory";
    }
    return "none";
}

// The first thing wrong, and where: a byte offset into the text and a JSON
// Pointer (RFC 6901) in UTF-8.
struct Failure {
    Problem problem = Problem::none;
    std::size_t offset = 0;
    std::string pointer;
};

}  // namespace sigil
