// Many messages in groups that are hashed side by side, as wide as the kernel has them.
// A group takes the time of its longest message, so those of about the same number of
// blocks go together: a counting sort puts the messages in order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "sha256_kernel.h"

namespace sigil {

constexpr std::size_t kSixteen = 16;
// Smaller groups are quicker in pairs; half of sixteen lanes or fewer are a width of their own.
constexpr std::size_t kFewestInLanes = 7;

// Messages in ascending order of their blocks, in the widest groups that there are.
template <class Hashing, class Message>
void hash_ordered(const Hashing& hashing, const Message* messages, const std::uint16_t* order,
                  std::size_t count) noexcept {
    std::size_t i = 0;
    if (hashing.has_sixteen() && count >= kFewestInLanes) {
        // The group that is not full takes the shortest messages.
        const std::size_t rest = count % kSixteen;
        if (rest >= kFewestInLanes) {
            hashing.sixteen(messages, order, rest);
            i = rest;
        }
        const std::size_t paired = rest - i;
        for (std::size_t full = rest; full < count; full += kSixteen) {
            hashing.sixteen(messages, order + full, kSixteen);
        }
        count = i + paired;
    }
    for (; i + 1 < count; i += 2) hashing.two(messages[order[i]], messages[order[i + 1]]);
    if (i < count) hashing.one(messages[order[i]]);
}

constexpr std::size_t kBatch = 256;
constexpr std::size_t kBuckets = 128;

// Writes the messages' indices in ascending order of their number of blocks: a
// counting sort, and std::sort within the bucket of the very long ones.
template <class Message>
void order_by_blocks(const Message* messages, std::size_t count, std::uint16_t* order) noexcept {
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

// Any number of messages. `Hashing` hashes one of them, two, or up to sixteen, if it has that.
template <class Hashing, class Message>
void hash_in_groups(const Hashing& hashing, const Message* messages, std::size_t count) noexcept {
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
        hash_ordered(hashing, messages, order, batch);
        messages += batch;
        count -= batch;
    }
}

}  // namespace sigil
