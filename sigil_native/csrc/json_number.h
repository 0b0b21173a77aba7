// Numbers in JSON text: grammar, range, canonical spelling.
#pragma once

#include <cstddef>
#include <cstdint>

#include "number.h"
#include "problem.h"

namespace sigil {

struct NumberToken {
    const std::uint8_t* end;  // the token's end; of a malformed one, the offending byte
    bool verbatim;            // the token is canonical as it stands
    std::uint8_t size;        // otherwise its canonical text
    char text[kLongestNumber];
};

// Reads the number that begins at `begin` ('-' or a digit) in a text that ends
// at `end`. Problem::none, invalid_number, unexpected_end, integer_range or
// non_finite_number.
Problem read_number(const std::uint8_t* begin, const std::uint8_t* end, bool exact_integers,
                    NumberToken& token) noexcept;

}  // namespace sigil
