// A line that is plain, and whose payload has a canonical form, is what it is taken for: as a whole, read by
// the strict rules, it has these members and no others.
#include <cstdlib>
#include <cstring>
#include <string>

#include "json_transcoder.h"
#include "request_line.h"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

std::string text_of(const sigil::ByteBuffer& buffer) {
    return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}

void check(const std::uint8_t* line, std::size_t size) {
    sigil::PlainRequest request;
    if (!sigil::read_plain_request(line, size, request)) return;
    require(request.payload >= line && request.payload + request.size <= line + size);
    require(request.size >= 2 && request.payload[0] == '{' && request.payload[request.size - 1] == '}');
    sigil::JsonOptions options;
    sigil::ByteBuffer payload;
    sigil::ByteBuffer whole;
    sigil::Failure failure;
    if (!sigil::canonicalize_text(request.payload, request.size, options, payload, failure)) return;
    options.max_depth += 1;
    require(sigil::canonicalize_text(line, size, options, whole, failure));
    const std::string begin = "{\"data\":" + text_of(payload);
    const std::string found = text_of(whole);
    if (request.lifetime_ms != 0) {
        require(found == begin + ",\"expires_in\":" + std::to_string(request.lifetime_ms / 1000) + "}");
    } else {
        require(found == begin + "}" || found == begin + ",\"expires_in\":null}");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    sigil::LineFinder finder(data, size, 1);
    sigil::FoundLine line;
    std::size_t number = 0;
    std::size_t end = 0;
    while (finder.next(line)) {
        require(line.number > number && line.begin >= end && line.begin + line.size <= size && line.size != 0);
        require(std::memchr(data + line.begin, '\n', line.size) == nullptr);
        number = line.number;
        end = line.begin + line.size;
        check(data + line.begin, line.size);
    }
    require(finder.number() > number);
    return 0;
}
