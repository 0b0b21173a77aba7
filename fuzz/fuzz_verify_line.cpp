// A line that is plain, and whose payload has a canonical form, is what it is taken for: as a whole, read by
// the strict rules, it has these members and no others, and the sigil means itself. Those whose payload claims to
// be an object are some of them. One without a payload is, too.
#include <cstdlib>
#include <string>

#include "json_transcoder.h"
#include "verify_line.h"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

std::string text_of(const sigil::ByteBuffer& buffer) {
    return {reinterpret_cast<const char*>(buffer.data()), buffer.size()};
}

void check_lone_sigil(const std::uint8_t* data, std::size_t size) {
    sigil::PlainVerifyRequest lone;
    if (!sigil::read_lone_sigil(data, size, lone)) return;
    require(lone.sigil >= data && lone.sigil + lone.sigil_size <= data + size);
    if (!sigil::request::is_plain_text(lone.sigil, lone.sigil_size)) return;
    sigil::ByteBuffer whole;
    sigil::Failure failure;
    require(sigil::canonicalize_text(data, size, sigil::JsonOptions{}, whole, failure));
    const std::string spelling(reinterpret_cast<const char*>(lone.sigil), lone.sigil_size);
    require(text_of(whole) == "{\"sigil\":\"" + spelling + "\"}");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    check_lone_sigil(data, size);
    sigil::PlainVerifyRequest object;
    sigil::PlainVerifyRequest request;
    const bool is_object = sigil::read_plain_verify_request(data, size, object);
    const bool is_plain = sigil::read_verify_line(data, size, request);
    require(is_plain || !is_object);
    if (!is_plain || !sigil::request::is_plain_text(request.sigil, request.sigil_size)) return 0;
    require(request.sigil >= data && request.sigil + request.sigil_size <= data + size);
    require(request.payload >= data && request.payload + request.size <= data + size);
    if (is_object) {
        require(object.payload == request.payload && object.size == request.size && object.sigil == request.sigil);
        require(request.size >= 2 && request.payload[0] == '{' && request.payload[request.size - 1] == '}');
    }
    sigil::JsonOptions options;
    sigil::ByteBuffer payload;
    sigil::ByteBuffer whole;
    sigil::Failure failure;
    if (!sigil::canonicalize_text(request.payload, request.size, options, payload, failure)) return 0;
    options.max_depth += 1;
    require(sigil::canonicalize_text(data, size, options, whole, failure));
    const std::string spelling(reinterpret_cast<const char*>(request.sigil), request.sigil_size);
    require(text_of(whole) == "{\"data\":" + text_of(payload) + ",\"sigil\":\"" + spelling + "\"}");
    return 0;
}
