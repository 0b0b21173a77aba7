// Any bytes are read as a line of an audit log; whatever is accepted is put together
// again from what was read, to the same bytes at both ends.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "audit_line.h"
#include "base64url.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

void require(bool holds) {
    if (!holds) std::abort();
}

// Appends what a writer of this library writes for a tag that is spelled like this, if it is one.
bool append_tag(const std::uint8_t* spelled, Bytes& line) {
    using namespace sigil;
    std::uint8_t tag[32];
    if (!read_base64url(spelled, kSpelledTagSize, tag) || has_unused_bits(spelled, kSpelledTagSize)) return false;
    const std::size_t size = line.size();
    line.resize(size + kSpelledTagSize);
    require(write_base64url(tag, sizeof tag, line.data() + size) == line.data() + line.size());
    return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sigil;
    // A copy of the exact size, so that a read past the end is seen.
    const Bytes input(data, data + size);
    AuditLine line;
    const AuditProblem problem = read_audit_line(input.data(), size, line);
    require(std::strlen(audit_problem_name(problem)) != 0);
    if (problem != AuditProblem::none) return 0;
    require(line.sequence >= 1 && line.sequence <= kLastAuditSequence && size < kLongestAuditLine);
    require(line.message_size == size - kChainSize);

    Bytes head(kLongestAuditHead);
    std::uint8_t* end = write_audit_sequence(line.sequence, head.data());
    if (line.previous != nullptr) end = write_audit_begin(line.key_id, end);
    head.resize(static_cast<std::size_t>(end - head.data()));
    if (line.previous != nullptr) {
        if (!append_tag(line.previous, head)) return 0;
        head.push_back('"');
    }
    require(head.size() <= kLongestAuditHead && head.size() <= line.message_size);
    require(std::memcmp(head.data(), input.data(), head.size()) == 0);
    require(head.size() == line.message_size || std::memcmp(input.data() + head.size(), ",\"", 2) == 0);

    Bytes chain(kChainSize);
    chain.resize(static_cast<std::size_t>(write_audit_chain(chain.data()) - chain.data()));
    if (!append_tag(line.chain, chain)) return 0;
    chain.insert(chain.end(), {'"', '}'});
    require(chain.size() == kChainSize);
    require(std::memcmp(chain.data(), input.data() + line.message_size, kChainSize) == 0);
    return 0;
}
