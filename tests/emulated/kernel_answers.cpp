// One SHA-256 kernel, named on the command line, beside the portable one: published
// vectors, the questions of its own choice at import, and batches of all sizes with
// messages that end at the end of readable memory. Exit status 0: always the same.
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "hmac.h"
#include "sha256.h"

namespace {

using namespace sigil;

int failures = 0;

void check(bool right, const char* what, unsigned long detail = 0) {
    if (right) return;
    ++failures;
    std::printf("wrong: %s (%lu)\n", what, detail);
}

std::string hexadecimal(const std::uint8_t* bytes) {
    std::string text;
    char digits[3];
    for (std::size_t i = 0; i < kDigestSize; ++i) {
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(bytes[i]));
        text += digits;
    }
    return text;
}

const std::uint8_t* bytes_of(const std::string& text) { return reinterpret_cast<const std::uint8_t*>(text.data()); }

// FIPS 180-2, appendix B, and its empty message.
void published_digests(const Sha256Kernel& kernel) {
    const std::pair<std::string, const char*> vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {std::string(1000000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    for (const auto& [message, digest] : vectors) {
        std::uint8_t found[kDigestSize];
        sha256(kernel, bytes_of(message), message.size(), found);
        check(hexadecimal(found) == digest, "published digest of a message of this size", message.size());
        for (std::size_t count = 1; count < 20; ++count) {
            std::vector<std::uint8_t> digests(count * kDigestSize);
            std::vector<DigestMessage> messages;
            for (std::size_t i = 0; i < count; ++i) {
                messages.push_back({bytes_of(message), message.size(), digests.data() + i * kDigestSize});
            }
            sha256_many(kernel, messages.data(), count);
            for (std::size_t i = 0; i < count; ++i) {
                check(hexadecimal(digests.data() + i * kDigestSize) == digest, "published digest in a batch of", count);
            }
        }
    }
}

// RFC 4231, cases 1, 2 and 6, each 1 to 19 times in a batch.
void published_tags(const Sha256Kernel& kernel) {
    struct Case {
        std::string key, message;
        const char* tag;
    };
    const Case cases[] = {
        {std::string(20, '\x0b'), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"Jefe", "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    for (const Case& one : cases) {
        HmacState key;
        hmac_init(kernel, key, bytes_of(one.key), one.key.size());
        for (std::size_t count = 1; count < 20; ++count) {
            std::vector<std::uint8_t> tags(count * kDigestSize);
            std::vector<HmacMessage> messages;
            for (std::size_t i = 0; i < count; ++i) {
                messages.push_back({bytes_of(one.message), one.message.size(), tags.data() + i * kDigestSize});
            }
            hmac_digest_many(kernel, key, messages.data(), count);
            for (std::size_t i = 0; i < count; ++i) {
                check(hexadecimal(tags.data() + i * kDigestSize) == one.tag, "published tag in a batch of", count);
            }
        }
    }
}

// A page of text with one behind it that may not be read.
const std::uint8_t* end_of_text(std::size_t size, std::mt19937_64& chance) {
    constexpr std::size_t kPage = 65536;
    const std::size_t pages = (size + kPage - 1) / kPage * kPage;
    void* const memory =
        mmap(nullptr, pages + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(static_cast<char*>(memory) + pages, kPage, PROT_NONE) != 0) std::abort();
    auto* const bytes = static_cast<std::uint8_t*>(memory);
    for (std::size_t i = 0; i < pages; ++i) bytes[i] = static_cast<std::uint8_t>(chance());
    return bytes + pages;
}

void batch_beside_portable(const Sha256Kernel& kernel, const std::uint8_t* end, std::size_t count,
                           std::size_t longest, std::mt19937_64& chance) {
    std::uint8_t secret[40];
    for (std::uint8_t& byte : secret) byte = static_cast<std::uint8_t>(chance());
    HmacState key, right_key;
    hmac_init(kernel, key, secret, sizeof secret);
    hmac_init(*kSha256Portable, right_key, secret, sizeof secret);
    check(std::memcmp(&key, &right_key, sizeof key) == 0, "midstates");
    std::vector<std::uint8_t> tags(count * kDigestSize);
    std::vector<HmacMessage> messages;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t size = chance() % (longest + 1);
        messages.push_back({end - size, size, tags.data() + i * kDigestSize});
    }
    hmac_digest_many(kernel, key, messages.data(), count);
    std::vector<std::uint8_t> digests(count * kDigestSize);
    std::vector<DigestMessage> payloads;
    for (std::size_t i = 0; i < count; ++i) {
        payloads.push_back({messages[i].data, messages[i].size, digests.data() + i * kDigestSize});
    }
    sha256_many(kernel, payloads.data(), count);
    for (const DigestMessage& payload : payloads) {
        std::uint8_t right[kDigestSize];
        sha256(*kSha256Portable, payload.data, payload.size, right);
        check(std::memcmp(payload.digest, right, kDigestSize) == 0, "digest in a batch of", count);
    }
    for (const HmacMessage& message : messages) {
        std::uint8_t right[kDigestSize], alone[kDigestSize];
        hmac_digest(*kSha256Portable, right_key, message.data, message.size, right);
        hmac_digest(kernel, key, message.data, message.size, alone);
        check(std::memcmp(message.tag, right, kDigestSize) == 0, "tag in a batch of", count);
        check(std::memcmp(alone, right, kDigestSize) == 0, "tag of a message of this size", message.size);
        sha256(*kSha256Portable, message.data, message.size, right);
        sha256(kernel, message.data, message.size, alone);
        check(std::memcmp(alone, right, kDigestSize) == 0, "digest of a message of this size", message.size);
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) return 2;
    const Sha256Kernel* kernel = nullptr;
    for (const Sha256Kernel* one : {kSha256Avx512, kSha256ShaNi, kSha256Armv8, kSha256Portable}) {
        if (one != nullptr && std::strcmp(one->name, arguments[1]) == 0) kernel = one;
    }
    if (kernel == nullptr) return 2;
    if (kernel == kSha256Avx512 && !kSha256ShaNi->usable()) {
        std::puts("this processor lacks the SHA extensions, which single messages go through");
        return 3;
    }
    published_digests(*kernel);
    published_tags(*kernel);
    check(proves_itself(*kernel), "the questions at import");
    std::mt19937_64 chance(8785);
    const std::uint8_t* const end = end_of_text(5000, chance);
    const int rounds = std::atoi(arguments[2]);
    unsigned long batches = 0;
    for (int round = 0; round < rounds; ++round) {
        for (std::size_t size = 1; size <= 40; ++size, ++batches) {
            // Few blocks, so that several lanes end at a time, or many.
            batch_beside_portable(*kernel, end, size, size % 2 != 0 ? 200 : 5000, chance);
        }
        batch_beside_portable(*kernel, end, 300, 1000, chance);
    }
    std::printf("%s: %lu batches of 1 to 40 messages, %d of 300, %d wrong\n", kernel->name, batches, rounds, failures);
    return failures == 0 ? 0 : 1;
}
