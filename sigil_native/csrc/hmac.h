// HMAC-SHA-256 (RFC 2104) from precomputed midstates.
#pragma once

#include <cstring>

#include "sha256_kernel.h"

namespace sigil {

struct HmacMessage {
    const std::uint8_t* data;
    std::size_t size;
    std::uint8_t* tag;  // room for kDigestSize bytes
};

void hmac_init(const Sha256Kernel& kernel, HmacState& state, const std::uint8_t* key,
               std::size_t size) noexcept;

void hmac_digest(const Sha256Kernel& kernel, const HmacState& key, const std::uint8_t* data,
                 std::size_t size, std::uint8_t* tag) noexcept;

// The tags of many messages. Messages of about the same number of blocks are hashed
// side by side, because a group takes the time of its longest. Allocates nothing.
void hmac_digest_many(const Sha256Kernel& kernel, const HmacState& key, const HmacMessage* messages,
                      std::size_t count) noexcept;

// One tag over a message that comes in pieces. The key outlives the stream.
class HmacStream {
  public:
    HmacStream(const Sha256Kernel& kernel, const HmacState& key) noexcept : kernel_(kernel), key_(key) {
        std::memcpy(state_, key.inner, sizeof state_);
    }
    void add(const std::uint8_t* data, std::size_t size) noexcept;
    // Writes the tag; the stream is used up.
    void finish(std::uint8_t* tag) noexcept;

  private:
    const Sha256Kernel& kernel_;
    const HmacState& key_;
    std::size_t size_ = 0;
    std::uint32_t state_[8];
    std::uint8_t held_[kBlockSize];
};

}  // namespace sigil
