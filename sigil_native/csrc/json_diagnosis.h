// Says what comes first in a JSON text that is wrong.
#pragma once

#include "json_transcoder.h"

namespace sigil {

// Walks the text once from left to right and stops at the first problem. True
// if there is none. Slow and simple on purpose: it runs only on texts that the
// fast path has refused.
bool is_canonicalizable(const std::uint8_t* text, std::size_t size, const JsonOptions& options,
                        Failure& failure) noexcept;

}  // namespace sigil
