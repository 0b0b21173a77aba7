// Batches of HMACs and digests with AVX-512, as wide as the batch allows. Messages ascend by their
// number of blocks, so lanes fall idle one after the other, and the group shrinks:
// sixteen lanes (sha256_sixteen.h) while nine or more are busy, eight (sha256_eight.h)
// for seven and eight, two streams of the SHA extensions (sha256_shani.cpp) below.
// Each width takes the same time however few of its lanes are busy; the limits are
// where the next narrower one becomes quicker. The outer hashes run side by side as well.
// Single messages go through the SHA extensions. Cycles a block stand with each width.
#include "sha256_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

// GCC before 13 warns of its own placeholders in these headers (GCC bug 105593).
#if !defined(__clang__) && __GNUC__ < 13
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <cpuid.h>
#include <immintrin.h>

#include "sha256_eight.h"
#include "sha256_lanes.h"
#include "sha256_sixteen.h"

namespace sigil {
namespace {

constexpr std::size_t kFewestOfSixteen = Eight::kLanes + 1;
constexpr std::size_t kFewestOfEight = 7;

// What is left of one message.
void hash_rest(std::uint32_t* state, const PaddedMessage& message, std::size_t from) noexcept {
    if (from < message.whole) {
        kSha256ShaNi->compress(state, message.block(from), message.whole - from);
        from = message.whole;
    }
    kSha256ShaNi->compress(state, message.block(from), message.total - from);
}

// What is left of a few lanes, two at a time; of an odd number the shortest one alone.
SIGIL_AVX512 void finish_in_pairs(__m256i* state, const Lanes& lanes) noexcept {
    alignas(32) std::uint32_t words[8][Eight::kLanes];
    for (int i = 0; i < 8; ++i) _mm256_store_si256(reinterpret_cast<__m256i*>(words[i]), state[i]);
    std::uint32_t own[Eight::kLanes][8];
    for (std::size_t lane = lanes.first; lane < Eight::kLanes; ++lane) {
        for (int i = 0; i < 8; ++i) own[lane][i] = words[i][lane];
    }
    std::size_t lane = lanes.first;
    if ((Eight::kLanes - lane) % 2 != 0) {
        hash_rest(own[lane], *lanes.messages[lane], lanes.done);
        ++lane;
    }
    for (; lane < Eight::kLanes; lane += 2) {
        kSha256ShaNi->hash_two(own[lane], own[lane + 1], *lanes.messages[lane], *lanes.messages[lane + 1], lanes.done);
    }
    for (lane = lanes.first; lane < Eight::kLanes; ++lane) {
        for (int i = 0; i < 8; ++i) words[i][lane] = own[lane][i];
    }
    for (int i = 0; i < 8; ++i) state[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(words[i]));
}

SIGIL_AVX512 void hash_lanes_of_eight(__m256i* state, Lanes lanes) noexcept {
    run_lanes<Eight>(state, lanes, kFewestOfEight);
    if (lanes.first < Eight::kLanes) finish_in_pairs(state, lanes);
}

SIGIL_AVX512 void hash_lanes_of_sixteen(__m512i* state, Lanes lanes) noexcept {
    run_lanes<Sixteen>(state, lanes, kFewestOfSixteen);
    if (lanes.first == Sixteen::kLanes) return;
    // All lanes that are left are in the upper half.
    __m256i upper[8];
    for (int i = 0; i < 8; ++i) upper[i] = _mm512_extracti64x4_epi64(state[i], 1);
    hash_lanes_of_eight(upper, {lanes.messages + Eight::kLanes, lanes.first - Eight::kLanes, lanes.done});
    for (int i = 0; i < 8; ++i) state[i] = _mm512_inserti64x4(state[i], upper[i], 1);
}

// A group of up to Width::kLanes messages. Those present take the last lanes. The outer
// midstate is HMAC's; without one the digests are of the messages themselves.
template <class Width>
SIGIL_AVX512 void hash_group(const std::uint32_t* inner, const std::uint32_t* outer, const PaddedMessage* messages,
                             std::uint8_t* const* digests, std::size_t count,
                             void (*hash)(typename Width::Vector*, Lanes) noexcept) noexcept {
    std::uint8_t unwanted[kDigestSize];
    const PaddedMessage* lane_messages[Width::kLanes];
    std::uint8_t* lane_digests[Width::kLanes];
    const std::size_t idle = Width::kLanes - count;
    for (std::size_t lane = 0; lane < Width::kLanes; ++lane) {
        lane_messages[lane] = lane < idle ? nullptr : messages + (lane - idle);
        lane_digests[lane] = lane < idle ? unwanted : digests[lane - idle];
    }
    typename Width::Vector state[8];
    broadcast_state<Width>(inner, state);
    hash(state, {lane_messages, idle, 0});
    if (outer != nullptr) hash_outer<Width>(outer, state);
    store_digests<Width>(state, lane_digests);
}

SIGIL_AVX512 void hash_widely(const std::uint32_t* inner, const std::uint32_t* outer, const PaddedMessage* messages,
                              std::uint8_t* const* digests, std::size_t count) noexcept {
    if (count > Eight::kLanes) {
        hash_group<Sixteen>(inner, outer, messages, digests, count, hash_lanes_of_sixteen);
    } else {
        hash_group<Eight>(inner, outer, messages, digests, count, hash_lanes_of_eight);
    }
}

SIGIL_AVX512 void hmac_sixteen(const HmacState& key, const PaddedMessage* messages,
                               std::uint8_t* const* tags, std::size_t count) noexcept {
    hash_widely(key.inner, key.outer, messages, tags, count);
}

SIGIL_AVX512 void hash_sixteen(const PaddedMessage* messages, std::uint8_t* const* digests,
                               std::size_t count) noexcept {
    hash_widely(kInitialState, nullptr, messages, digests, count);
}

// XCR0: whether the system saves SSE, AVX, and all parts of the AVX-512 state.
bool system_saves_state() noexcept {
    constexpr unsigned kNeeded = 0xe6;
    unsigned low = 0, high = 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & kNeeded) == kNeeded;
}

bool usable() noexcept {
    constexpr unsigned kOsxsave = 1U << 27;
    constexpr unsigned kAvx512f = 1U << 16;
    constexpr unsigned kAvx512bw = 1U << 30;
    constexpr unsigned kAvx512vl = 1U << 31;
    constexpr unsigned kNeeded = kAvx512f | kAvx512bw | kAvx512vl;
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!kSha256ShaNi->usable()) return false;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kOsxsave) == 0) return false;
    if (!system_saves_state()) return false;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
    return (ebx & kNeeded) == kNeeded;
}

// kSha256ShaNi is a constant, initialised before anything that is computed at start.
const Sha256Kernel kKernel = {
    "avx-512",    usable, kSha256ShaNi->compress, kSha256ShaNi->hmac, kSha256ShaNi->hmac_two,
    hmac_sixteen, kSha256ShaNi->hash_two,    hash_sixteen,
};

}  // namespace

const Sha256Kernel* const kSha256Avx512 = &kKernel;

}  // namespace sigil

#else

const sigil::Sha256Kernel* const sigil::kSha256Avx512 = nullptr;

#endif
