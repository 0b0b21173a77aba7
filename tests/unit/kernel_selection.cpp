// Offers kernels that lie to the choice that is made at import. Exit status 0: every
// one was passed over; otherwise a line says which was not.
#include <cstdio>
#include <cstring>

#include "hmac.h"
#include "sha256.h"

namespace {

using namespace sigil;

bool usable() noexcept { return true; }
bool not_usable() noexcept { return false; }

void compress(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) noexcept {
    kSha256Portable->compress(state, blocks, count);
}

// Right for a block at a time, wrong for more.
void forgetful(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) noexcept {
    compress(state, blocks, count < 2 ? count : 1);
}

// One bit of the last word wrong.
void wrong_bit(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) noexcept {
    compress(state, blocks, count);
    state[7] ^= 1;
}

void hmac(const HmacState& key, const PaddedMessage& message, std::uint8_t* tag) noexcept {
    std::uint8_t whole[4 * kBlockSize];
    std::size_t size = 0;
    for (std::size_t i = 0; i < message.total; ++i, size += kBlockSize) {
        std::memcpy(whole + size, message.block(i), kBlockSize);
    }
    std::uint32_t state[8];
    std::memcpy(state, key.inner, sizeof state);
    compress(state, whole, message.total);
    std::uint8_t outer[kBlockSize] = {};
    store_state(state, outer);
    outer[32] = 0x80;
    outer[62] = 3;
    std::memcpy(state, key.outer, sizeof state);
    compress(state, outer, 1);
    store_state(state, tag);
}

void hmac_of_first_block(const HmacState& key, const PaddedMessage& message, std::uint8_t* tag) noexcept {
    hmac(key, message, tag);
    if (message.whole != 0) tag[31] ^= 1;
}

void two(const HmacState& key, const PaddedMessage& first, const PaddedMessage& second,
         std::uint8_t* first_tag, std::uint8_t* second_tag) noexcept {
    hmac(key, first, first_tag);
    hmac(key, second, second_tag);
}

void two_swapped(const HmacState& key, const PaddedMessage& first, const PaddedMessage& second,
                 std::uint8_t* first_tag, std::uint8_t* second_tag) noexcept {
    two(key, first, second, second_tag, first_tag);
}

// Stops both streams at the end of the shorter one.
void two_stopping_early(const HmacState& key, const PaddedMessage& first, const PaddedMessage& second,
                        std::uint8_t* first_tag, std::uint8_t* second_tag) noexcept {
    two(key, first, second, first_tag, second_tag);
    if (first.total < second.total) second_tag[0] ^= 1;
}

void sixteen(const HmacState& key, const PaddedMessage* messages, std::uint8_t* const* tags,
             std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) hmac(key, messages[i], tags[i]);
}

void last_lane_wrong(const HmacState& key, const PaddedMessage* messages, std::uint8_t* const* tags,
                     std::size_t count) noexcept {
    sixteen(key, messages, tags, count);
    if (count == 16) tags[15][0] ^= 1;
}

void full_groups_only(const HmacState& key, const PaddedMessage* messages, std::uint8_t* const* tags,
                      std::size_t count) noexcept {
    sixteen(key, messages, tags, count);
    if (count != 16) tags[0][0] ^= 1;
}

void hash_two(std::uint32_t* first_state, std::uint32_t* second_state, const PaddedMessage& first,
              const PaddedMessage& second, std::size_t from) noexcept {
    for (std::size_t i = from; i < first.total; ++i) compress(first_state, first.block(i), 1);
    for (std::size_t i = from; i < second.total; ++i) compress(second_state, second.block(i), 1);
}

// Forgets the second message's last block if it is the longer one.
void hash_two_stopping_early(std::uint32_t* first_state, std::uint32_t* second_state, const PaddedMessage& first,
                             const PaddedMessage& second, std::size_t from) noexcept {
    hash_two(first_state, second_state, first, second, from);
    if (first.total < second.total) second_state[0] ^= 1;
}

void digest_sixteen(const PaddedMessage* messages, std::uint8_t* const* digests, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        std::uint32_t states[2][8];
        for (std::uint32_t* const state : states) std::memcpy(state, kInitialState, sizeof kInitialState);
        hash_two(states[0], states[1], messages[i], messages[i], 0);
        store_state(states[0], digests[i]);
    }
}

void last_digest_wrong(const PaddedMessage* messages, std::uint8_t* const* digests, std::size_t count) noexcept {
    digest_sixteen(messages, digests, count);
    if (count == 16) digests[15][0] ^= 1;
}

void full_groups_of_digests_only(const PaddedMessage* messages, std::uint8_t* const* digests,
                                 std::size_t count) noexcept {
    digest_sixteen(messages, digests, count);
    if (count != 16) digests[0][0] ^= 1;
}

bool chosen(const Sha256Kernel& kernel) {
    const Sha256Kernel* const candidates[] = {nullptr, &kernel, kSha256Portable};
    const Sha256Kernel* found[3];
    const std::size_t count = choose_kernels(candidates, 3, found);
    if (count == 0 || found[count - 1] != kSha256Portable) {
        std::puts("the portable kernel was passed over");
        return true;
    }
    return count == 2 && found[0] == &kernel;
}

}  // namespace

int main() {
    const Sha256Kernel honest = {"honest", usable, compress, hmac, two, sixteen, hash_two, digest_sixteen};
    if (!chosen(honest)) {
        std::puts("the honest kernel was passed over");
        return 1;
    }
    const Sha256Kernel liars[] = {
        {"not usable", not_usable, compress, hmac, two, nullptr},
        {"forgetful", usable, forgetful, hmac, two, nullptr},
        {"wrong bit", usable, wrong_bit, hmac, two, nullptr},
        {"hmac of first block", usable, compress, hmac_of_first_block, two, nullptr},
        {"two swapped", usable, compress, hmac, two_swapped, nullptr},
        {"two stopping early", usable, compress, hmac, two_stopping_early, nullptr},
        {"last lane", usable, compress, hmac, two, last_lane_wrong},
        {"full groups only", usable, compress, hmac, two, full_groups_only},
        {"digests stopping early", usable, compress, hmac, two, sixteen, hash_two_stopping_early, nullptr},
        {"last digest", usable, compress, hmac, two, sixteen, hash_two, last_digest_wrong},
        {"full groups of digests", usable, compress, hmac, two, sixteen, hash_two, full_groups_of_digests_only},
    };
    int status = 0;
    for (const Sha256Kernel& liar : liars) {
        if (chosen(liar)) {
            std::printf("used although it lies: %s\n", liar.name);
            status = 1;
        }
    }
    const Sha256Kernel* found[kMostKernels];
    const std::size_t count = find_kernels(found);
    for (std::size_t i = 0; i < count; ++i) std::printf("%s\n", found[i]->name);
    return status;
}
