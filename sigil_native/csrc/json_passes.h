// The three passes, compiled once for each vector level: included inside the
// level's namespace, behind its Block and the standard headers.
#include "json_block_common.h"
#include "json_index.h"
#include "json_order.h"
#include "json_parser.h"
#include "json_emitter.h"

SIGIL_INLINE Outcome run_passes(const std::uint8_t* text, std::size_t size, const JsonOptions& options, Scratch& scratch,
                                ByteBuffer& out) noexcept {
    Outcome outcome = Indexer(scratch, text, size).run();
    if (outcome != Outcome::done) return outcome;
    outcome = Parser(scratch, options).run();
    if (outcome != Outcome::done) return outcome;
    // Every patch's replacement is counted in `replaced`.
    if (!out.reserve(std::size_t{scratch.text_size} + scratch.replaced)) return Outcome::out_of_memory;
    const Emitter emitter(scratch);
    out.set_end(emitter.span(out.end(), 0, scratch.text_size, scratch.patches.data(), scratch.patch_count));
    return Outcome::done;
}
