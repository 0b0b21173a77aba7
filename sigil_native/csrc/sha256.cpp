#include "sha256.h"

#include <cstring>

#include "hmac.h"
#include "sha256_groups.h"

namespace sigil {
namespace {

struct Digesting {
    const Sha256Kernel& kernel;

    bool has_sixteen() const noexcept { return kernel.hash_sixteen != nullptr; }
    void one(const DigestMessage& message) const noexcept {
        sha256(kernel, message.data, message.size, message.digest);
    }
    void two(const DigestMessage& first, const DigestMessage& second) const noexcept {
        PaddedMessage padded[2];
        pad_message(first.data, first.size, 0, padded[0]);
        pad_message(second.data, second.size, 0, padded[1]);
        std::uint32_t states[2][8];
        for (std::uint32_t* const state : states) std::memcpy(state, kInitialState, sizeof kInitialState);
        kernel.hash_two(states[0], states[1], padded[0], padded[1], 0);
        store_state(states[0], first.digest);
        store_state(states[1], second.digest);
    }
    void sixteen(const DigestMessage* messages, const std::uint16_t* order, std::size_t count) const noexcept {
        PaddedMessage padded[kSixteen];
        std::uint8_t* digests[kSixteen];
        for (std::size_t i = 0; i < count; ++i) {
            const DigestMessage& message = messages[order[i]];
            pad_message(message.data, message.size, 0, padded[i]);
            digests[i] = message.digest;
        }
        kernel.hash_sixteen(padded, digests, count);
    }
};

// Sizes 0 up to here end a message at every place of a block and of the one after.
constexpr std::size_t kLongestQuestion = 130;

// SHA-256 of "abc": FIPS 180-2, appendix B.1.
constexpr std::uint8_t kAbcDigest[kDigestSize] = {
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
};
// With q(n) = n bytes of 7i + 3 mod 256: SHA-256 of SHA-256(q(0)) || ... || SHA-256(q(130)).
constexpr std::uint8_t kHashAnswer[kDigestSize] = {
    0xb3, 0xd3, 0x1a, 0xa6, 0xb4, 0xf0, 0x81, 0x0c, 0xff, 0x11, 0xdc, 0x15, 0xfd, 0x10, 0x17, 0xd7,
    0xba, 0x04, 0x7a, 0xd1, 0x0e, 0x75, 0x7b, 0x0e, 0x36, 0xed, 0x68, 0x89, 0x7e, 0x6d, 0x18, 0x51,
};
// Key q(32): SHA-256 of T(0) || ... || T(130), where T(n) = HMAC(q(n)) || HMAC(q(37n mod 131)).
constexpr std::uint8_t kHmacAnswer[kDigestSize] = {
    0x58, 0x35, 0x44, 0xef, 0x90, 0x0d, 0x52, 0xef, 0x5b, 0x7b, 0x7d, 0xb1, 0x54, 0x28, 0x2e, 0x10,
    0xfe, 0x40, 0x0e, 0x7b, 0x8c, 0xe2, 0xac, 0xf4, 0x7e, 0xb0, 0x93, 0xca, 0xe4, 0x2e, 0xf5, 0xa3,
};

// Whether a batch of the questions of these sizes gets these answers.
bool hashes_batch(const Sha256Kernel& kernel, const std::uint8_t* question, const std::uint8_t* answers,
                  const std::uint8_t* sizes, std::size_t count) noexcept {
    DigestMessage batch[kLongestQuestion + 1];
    std::uint8_t digests[kLongestQuestion + 1][kDigestSize];
    for (std::size_t i = 0; i < count; ++i) batch[i] = {question, sizes[i], digests[i]};
    sha256_many(kernel, batch, count);
    for (std::size_t i = 0; i < count; ++i) {
        if (std::memcmp(digests[i], answers + sizes[i] * kDigestSize, kDigestSize) != 0) return false;
    }
    return true;
}

// Eight messages of one block, two of two and six of three: a group of sixteen lanes
// that becomes one of eight after the first block, and pairs after the second.
constexpr std::uint8_t kShrinking[16] = {0, 1, 2, 3, 4, 5, 6, 55, 56, 119, 120, 121, 122, 123, 124, 130};

bool hashes_right(const Sha256Kernel& kernel, const std::uint8_t* question) noexcept {
    std::uint8_t answers[(kLongestQuestion + 1) * kDigestSize];
    std::uint8_t digest[kDigestSize];
    sha256(kernel, reinterpret_cast<const std::uint8_t*>("abc"), 3, digest);
    if (std::memcmp(digest, kAbcDigest, kDigestSize) != 0) return false;
    for (std::size_t n = 0; n <= kLongestQuestion; ++n) {
        sha256(kernel, question, n, answers + n * kDigestSize);
    }
    sha256(kernel, answers, sizeof answers, digest);
    if (std::memcmp(digest, kHashAnswer, kDigestSize) != 0) return false;
    // All of them again, side by side: pairs of any two lengths, and groups of all widths.
    std::uint8_t order[kLongestQuestion + 1];
    for (std::size_t i = 0; i <= kLongestQuestion; ++i) {
        order[i] = static_cast<std::uint8_t>(37 * i % (kLongestQuestion + 1));
    }
    for (std::size_t i = 0; i < kLongestQuestion; ++i) {
        if (!hashes_batch(kernel, question, answers, order + i, 2)) return false;
    }
    return hashes_batch(kernel, question, answers, order, sizeof order) &&
           hashes_batch(kernel, question, answers, kShrinking, sizeof kShrinking) &&
           hashes_batch(kernel, question, answers, kShrinking + 8, 8) &&
           hashes_batch(kernel, question, answers, kShrinking + 9, 7);
}

// Whether a batch of the questions of these sizes gets the answers of before.
bool signs_batch(const Sha256Kernel& kernel, const HmacState& key, const std::uint8_t* question,
                 const std::uint8_t* answers, const std::uint8_t* sizes, std::size_t count) noexcept {
    HmacMessage batch[kLongestQuestion + 1];
    std::uint8_t tags[kLongestQuestion + 1][kDigestSize];
    for (std::size_t i = 0; i < count; ++i) batch[i] = {question, sizes[i], tags[i]};
    hmac_digest_many(kernel, key, batch, count);
    for (std::size_t i = 0; i < count; ++i) {
        if (std::memcmp(tags[i], answers + sizes[i] * 2 * kDigestSize, kDigestSize) != 0) return false;
    }
    return true;
}

bool signs_right(const Sha256Kernel& kernel, const std::uint8_t* question) noexcept {
    std::uint8_t answers[(kLongestQuestion + 1) * 2 * kDigestSize];
    std::uint8_t digest[kDigestSize];
    HmacState key;
    hmac_init(kernel, key, question, 32);
    for (std::size_t n = 0; n <= kLongestQuestion; ++n) {
        const std::size_t other = 37 * n % (kLongestQuestion + 1);
        std::uint8_t* const tags = answers + n * 2 * kDigestSize;
        const HmacMessage pair[2] = {{question, n, tags}, {question, other, tags + kDigestSize}};
        hmac_digest_many(kernel, key, pair, 2);
        hmac_digest(kernel, key, question, n, digest);
        if (std::memcmp(digest, tags, kDigestSize) != 0) return false;
    }
    sha256(kernel, answers, sizeof answers, digest);
    if (std::memcmp(digest, kHmacAnswer, kDigestSize) != 0) return false;
    // All of them again in two batches. The second, of 3 messages of one block and 6 of
    // two, fills no group of sixteen and leaves too few lanes in its last block.
    constexpr std::size_t kSecond = 9;
    constexpr std::size_t kFirst = kLongestQuestion + 1 - kSecond;
    std::uint8_t order[kLongestQuestion + 1];
    for (std::size_t i = 0; i <= kLongestQuestion; ++i) {
        order[i] = static_cast<std::uint8_t>(37 * i % (kLongestQuestion + 1));
    }
    return signs_batch(kernel, key, question, answers, order, kFirst) &&
           signs_batch(kernel, key, question, answers, order + kFirst, kSecond) &&
           signs_batch(kernel, key, question, answers, kShrinking, sizeof kShrinking) &&
           signs_batch(kernel, key, question, answers, kShrinking + 8, 8) &&
           signs_batch(kernel, key, question, answers, kShrinking + 9, 7);
}

}  // namespace

bool proves_itself(const Sha256Kernel& kernel) noexcept {
    std::uint8_t question[kLongestQuestion];
    for (std::size_t i = 0; i < sizeof question; ++i) question[i] = static_cast<std::uint8_t>(7 * i + 3);
    return hashes_right(kernel, question) && signs_right(kernel, question);
}

std::size_t choose_kernels(const Sha256Kernel* const* candidates, std::size_t count,
                           const Sha256Kernel** chosen) noexcept {
    std::size_t found = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const Sha256Kernel* const kernel = candidates[i];
        if (kernel != nullptr && kernel->usable() && proves_itself(*kernel)) chosen[found++] = kernel;
    }
    return found;
}

std::size_t find_kernels(const Sha256Kernel** chosen) noexcept {
    const Sha256Kernel* const candidates[kMostKernels] = {kSha256Avx512, kSha256ShaNi, kSha256Armv8,
                                                           kSha256Portable};
    return choose_kernels(candidates, kMostKernels, chosen);
}

void pad_message(const std::uint8_t* data, std::size_t size, std::size_t hashed_before,
                 PaddedMessage& message) noexcept {
    message.data = data;
    message.whole = size / kBlockSize;
    message.total = padded_blocks(size);
    const std::size_t rest = size % kBlockSize;
    std::uint8_t* const tail = message.tail();
    // One by one: for 128 bytes GCC takes "rep stos", which costs a tenth of a block.
    std::memset(tail, 0, kBlockSize);
    std::memset(tail + kBlockSize, 0, kBlockSize);
    if (size >= kBlockSize) {
        // The message's last 64 bytes, placed so that those in whole blocks fall into
        // the room before the tail: a copy of constant length needs no call.
        std::memcpy(tail + rest - kBlockSize, data + (size - kBlockSize), kBlockSize);
    } else if (rest != 0) {
        std::memcpy(tail, data, rest);
    }
    tail[rest] = 0x80;
    const std::uint64_t bits = (std::uint64_t{size} + hashed_before) * 8;
    std::uint8_t* const length = tail + (message.total - message.whole) * kBlockSize - 8;
    store_be32(static_cast<std::uint32_t>(bits >> 32), length);
    store_be32(static_cast<std::uint32_t>(bits), length + 4);
}

void sha256(const Sha256Kernel& kernel, const std::uint8_t* data, std::size_t size,
            std::uint8_t* digest) noexcept {
    PaddedMessage message;
    pad_message(data, size, 0, message);
    std::uint32_t state[8];
    std::memcpy(state, kInitialState, sizeof state);
    kernel.compress(state, data, message.whole);
    kernel.compress(state, message.tail(), message.total - message.whole);
    store_state(state, digest);
}

void sha256_many(const Sha256Kernel& kernel, const DigestMessage* messages, std::size_t count) noexcept {
    if (kernel.hash_two == nullptr) {
        for (std::size_t i = 0; i < count; ++i) {
            sha256(kernel, messages[i].data, messages[i].size, messages[i].digest);
        }
        return;
    }
    hash_in_groups(Digesting{kernel}, messages, count);
}

}  // namespace sigil
