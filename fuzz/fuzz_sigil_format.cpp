// Any bytes are read as a sigil; whatever is accepted must be spelt in one way only.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "sigil_format.h"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

bool same(const std::uint8_t* data, std::size_t size, const std::vector<std::uint8_t>& other) {
    return size == other.size() && std::memcmp(data, other.data(), size) == 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sigil;
    // A copy of the exact size, so that a read past the end is seen.
    const std::vector<std::uint8_t> input(data, data + size);
    ParsedSigil parsed;
    if (parse_sigil(input.data(), size, true, parsed) != FormatProblem::none) return 0;

    std::vector<std::uint8_t> text(kTextSize);
    std::vector<std::uint8_t> strand(kStrandSize);
    require(write_text(parsed.bytes, parsed.bytes + kHeaderSize, text.data()) == text.data() + kTextSize);
    require(write_strand(parsed.bytes, strand.data()) == strand.data() + kStrandSize);
    if (parsed.payload != nullptr) {
        std::vector<std::uint8_t> payload(base64url_decoded_size(parsed.payload_size));
        require(read_base64url(parsed.payload, parsed.payload_size, payload.data()));
        std::vector<std::uint8_t> spelled(base64url_size(payload.size()));
        write_base64url(payload.data(), payload.size(), spelled.data());
        text.push_back('.');
        text.insert(text.end(), spelled.begin(), spelled.end());
        require(same(data, size, text));
        return 0;
    }
    const std::vector<std::uint8_t> binary(parsed.bytes, parsed.bytes + kSigilSize);
    require(same(data, size, text) || same(data, size, strand) || same(data, size, binary));
    return 0;
}
