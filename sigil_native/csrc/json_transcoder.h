// JSON text to its canonical form (RFC 8785), without building values.
//
// A fast path either succeeds or merely learns that the text has no canonical
// form; json_diagnosis.cpp then walks the text once more, slowly, to say what
// comes first in it that is wrong.
#pragma once

#include <cstddef>
#include <cstdint>

#include "byte_buffer.h"
#include "json_options.h"
#include "problem.h"

namespace sigil {

// Appends the canonical form of `text` to `out`, which is never cleared. False:
// `failure` tells why and out.size() is unchanged. `failure.problem` is `none`
// only if the two passes disagree, which is a defect of this library.
// Needs no lock: scratch memory is the thread's own, and is given back after an
// unusually large document.
bool canonicalize_text(const std::uint8_t* text, std::size_t size, const JsonOptions& options, ByteBuffer& out,
                       Failure& failure) noexcept;

}  // namespace sigil
