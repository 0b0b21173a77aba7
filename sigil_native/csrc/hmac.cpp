#include "hmac.h"

#include <cstring>

#include "secret.h"
#include "sha256.h"
#include "sha256_groups.h"

namespace sigil {
namespace {

// The outer hash over the inner one. Its message is always 32 bytes after a block:
// one block of a fixed shape.
void finish_outer(const Sha256Kernel& kernel, const HmacState& key, std::uint32_t* inner,
                  std::uint8_t* tag) noexcept {
    std::uint8_t block[kBlockSize] = {};
    store_state(inner, block);
    block[kDigestSize] = 0x80;
    block[kBlockSize - 2] = ((kBlockSize + kDigestSize) * 8) >> 8;
    std::uint32_t state[8];
    std::memcpy(state, key.outer, sizeof state);
    kernel.compress(state, block, 1);
    store_state(state, tag);
}

void sign(const Sha256Kernel& kernel, const HmacState& key, const PaddedMessage& message,
          std::uint8_t* tag) noexcept {
    if (kernel.hmac != nullptr) return kernel.hmac(key, message, tag);
    std::uint32_t state[8];
    std::memcpy(state, key.inner, sizeof state);
    kernel.compress(state, message.data, message.whole);
    kernel.compress(state, message.tail(), message.total - message.whole);
    finish_outer(kernel, key, state, tag);
}

struct Signing {
    const Sha256Kernel& kernel;
    const HmacState& key;

    bool has_sixteen() const noexcept { return kernel.hmac_sixteen != nullptr; }
    void one(const HmacMessage& message) const noexcept {
        hmac_digest(kernel, key, message.data, message.size, message.tag);
    }
    void two(const HmacMessage& first, const HmacMessage& second) const noexcept {
        PaddedMessage padded[2];
        pad_message(first.data, first.size, kBlockSize, padded[0]);
        pad_message(second.data, second.size, kBlockSize, padded[1]);
        kernel.hmac_two(key, padded[0], padded[1], first.tag, second.tag);
    }
    void sixteen(const HmacMessage* messages, const std::uint16_t* order, std::size_t count) const noexcept {
        PaddedMessage padded[kSixteen];
        std::uint8_t* tags[kSixteen];
        for (std::size_t i = 0; i < count; ++i) {
            const HmacMessage& message = messages[order[i]];
            pad_message(message.data, message.size, kBlockSize, padded[i]);
            tags[i] = message.tag;
        }
        kernel.hmac_sixteen(key, padded, tags, count);
    }
};

}  // namespace

void hmac_init(const Sha256Kernel& kernel, HmacState& state, const std::uint8_t* key,
               std::size_t size) noexcept {
    std::uint8_t block[kBlockSize] = {};
    if (size > kBlockSize) {
        sha256(kernel, key, size, block);
    } else if (size != 0) {
        std::memcpy(block, key, size);
    }
    for (std::uint8_t& byte : block) byte ^= 0x36;
    std::memcpy(state.inner, kInitialState, sizeof state.inner);
    kernel.compress(state.inner, block, 1);
    for (std::uint8_t& byte : block) byte ^= 0x36 ^ 0x5c;
    std::memcpy(state.outer, kInitialState, sizeof state.outer);
    kernel.compress(state.outer, block, 1);
    wipe(block, sizeof block);
}

void hmac_digest(const Sha256Kernel& kernel, const HmacState& key, const std::uint8_t* data,
                 std::size_t size, std::uint8_t* tag) noexcept {
    PaddedMessage message;
    pad_message(data, size, kBlockSize, message);
    sign(kernel, key, message, tag);
}

void hmac_digest_many(const Sha256Kernel& kernel, const HmacState& key, const HmacMessage* messages,
                      std::size_t count) noexcept {
    if (kernel.hmac_two == nullptr) {
        for (std::size_t i = 0; i < count; ++i) {
            hmac_digest(kernel, key, messages[i].data, messages[i].size, messages[i].tag);
        }
        return;
    }
    hash_in_groups(Signing{kernel, key}, messages, count);
}

void HmacStream::add(const std::uint8_t* data, std::size_t size) noexcept {
    const std::size_t held = size_ % kBlockSize;
    size_ += size;
    if (held != 0) {
        const std::size_t taken = std::min(size, kBlockSize - held);
        if (taken != 0) std::memcpy(held_ + held, data, taken);
        if (held + taken < kBlockSize) return;
        kernel_.compress(state_, held_, 1);
        data += taken;
        size -= taken;
    }
    kernel_.compress(state_, data, size / kBlockSize);
    const std::size_t rest = size % kBlockSize;
    if (rest != 0) std::memcpy(held_, data + (size - rest), rest);
}

void HmacStream::finish(std::uint8_t* tag) noexcept {
    PaddedMessage message;
    pad_message(held_, size_ % kBlockSize, kBlockSize + size_ / kBlockSize * kBlockSize, message);
    kernel_.compress(state_, message.tail(), message.total);
    finish_outer(kernel_, key_, state_, tag);
}

}  // namespace sigil
