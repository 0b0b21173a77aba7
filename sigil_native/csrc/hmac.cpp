#include "hmac.h"

#include <algorithm>
#include <cstring>

#include "secret.h"
#include "sha256.h"

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

void sign_two(const Sha256Kernel& kernel, const HmacState& key, const HmacMessage& first,
              const HmacMessage& second) noexcept {
    PaddedMessage padded[2];
    pad_message(first.data, first.size, kBlockSize, padded[0]);
    pad_message(second.data, second.size, kBlockSize, padded[1]);
    kernel.hmac_two(key, padded[0], padded[1], first.tag, second.tag);
}

constexpr std::size_t kSixteen = 16;
// Smaller groups are quicker in pairs; half of sixteen lanes or fewer are a width of their own.
constexpr std::size_t kFewestOfSixteen = 7;

void sign_sixteen(const Sha256Kernel& kernel, const HmacState& key, const HmacMessage* messages,
                  const std::uint16_t* order, std::size_t count) noexcept {
    PaddedMessage padded[kSixteen];
    std::uint8_t* tags[kSixteen];
    for (std::size_t i = 0; i < count; ++i) {
        const HmacMessage& message = messages[order[i]];
        pad_message(message.data, message.size, kBlockSize, padded[i]);
        tags[i] = message.tag;
    }
    kernel.hmac_sixteen(key, padded, tags, count);
}

// Messages in ascending order of their blocks, in the widest groups that the kernel has.
void sign_ordered(const Sha256Kernel& kernel, const HmacState& key, const HmacMessage* messages,
                  const std::uint16_t* order, std::size_t count) noexcept {
    std::size_t i = 0;
    if (kernel.hmac_sixteen != nullptr && count >= kFewestOfSixteen) {
        // The group that is not full takes the shortest messages.
        const std::size_t rest = count % kSixteen;
        if (rest >= kFewestOfSixteen) {
            sign_sixteen(kernel, key, messages, order, rest);
            i = rest;
        }
        const std::size_t paired = rest - i;
        for (std::size_t full = rest; full < count; full += kSixteen) {
            sign_sixteen(kernel, key, messages, order + full, kSixteen);
        }
        count = i + paired;
    }
    for (; i + 1 < count; i += 2) sign_two(kernel, key, messages[order[i]], messages[order[i + 1]]);
    if (i < count) {
        const HmacMessage& last = messages[order[i]];
        hmac_digest(kernel, key, last.data, last.size, last.tag);
    }
}

constexpr std::size_t kBatch = 256;
constexpr std::size_t kBuckets = 128;

// Writes the messages' indices in ascending order of their number of blocks: a
// counting sort, and std::sort within the bucket of the very long ones.
void order_by_blocks(const HmacMessage* messages, std::size_t count, std::uint16_t* order) noexcept {
    const auto bucket = [&](std::size_t i) {
        return std::min(padded_blocks(messages[i].size), kBuckets) - 1;
    };
    std::uint16_t starts[kBuckets + 1] = {};
    std::size_t least = kBuckets;
    std::size_t most = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t own = bucket(i);
        ++starts[own + 1];
        least = std::min(least, own);
        most = std::max(most, own);
    }
    for (std::size_t b = least; b <= most; ++b) {
        starts[b + 1] = static_cast<std::uint16_t>(starts[b + 1] + starts[b]);
    }
    const std::size_t long_ones = most == kBuckets - 1 ? starts[most] : count;
    for (std::size_t i = 0; i < count; ++i) order[starts[bucket(i)]++] = static_cast<std::uint16_t>(i);
    std::sort(order + long_ones, order + count, [&](std::uint16_t left, std::uint16_t right) {
        return messages[left].size < messages[right].size;
    });
}

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
    // Sorted a batch at a time, so that the order fits on the stack.
    std::uint16_t order[kBatch];
    while (count != 0) {
        const std::size_t batch = std::min(count, kBatch);
        if (batch > 2) {
            order_by_blocks(messages, batch, order);
        } else {
            order[0] = 0;
            order[1] = 1;
        }
        sign_ordered(kernel, key, messages, order, batch);
        messages += batch;
        count -= batch;
    }
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
