// Processes on one bucket table, one shared access at a time in random order, some of which die anywhere:
// bucket_interleavings SEED ROUNDS
//
// Each process is a fibre; before every access to shared memory the scheduler chooses who goes on. So the
// narrowest race comes up within seconds, and again with the same seed.
#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {
void before_shared_access();
std::int64_t simulated_ns = 0;
}  // namespace

#define SIGIL_BEFORE_SHARED_ACCESS() before_shared_access()
// The clock of the table is the simulation's.
#define monotonic_ns system_monotonic_ns
#include "clock.h"
#undef monotonic_ns
namespace sigil {
inline std::int64_t monotonic_ns() noexcept { return simulated_ns; }
}  // namespace sigil
#include "bucket_table.cpp"

namespace {

using sigil::BucketTable;
using sigil::Pair;

constexpr std::size_t kEntries = BucketTable::entries_for(1);
constexpr int kProcesses = 3;
constexpr std::uint64_t kKeys = 3;
constexpr int kBurst = 2;
// One token in 8 nanoseconds: a rate of 125,000,000, whose multiplier is 2^63 for 2^5 grains a token.
constexpr std::int64_t kTokenNs = 8;
constexpr std::size_t kStack = 64 << 10;

struct Grant {
    std::int64_t asked;
    std::int64_t answered;
};

std::mt19937_64 random_bits;
std::uint64_t below(std::uint64_t limit) { return random_bits() % limit; }

struct Process {
    ucontext_t context;
    std::unique_ptr<char[]> stack{new char[kStack]};
    bool over = false;
};

Process processes[kProcesses];
ucontext_t scheduler;
int running = -1;

alignas(64) Pair entries[kEntries];
std::atomic<std::uint64_t> stamps;
std::unique_ptr<BucketTable> table;
std::map<std::uint64_t, std::vector<Grant>> grants;
std::map<std::uint64_t, std::vector<Grant>> refusals;

void before_shared_access() {
    if (running >= 0) swapcontext(&processes[running].context, &scheduler);
}

// Hashes whose windows begin at the first entry.
std::uint64_t hash_of(std::uint64_t key) { return 100 + key; }

std::int64_t now_in_grains() { return sigil::TokenTime(1ULL << 63, 32, kBurst).grains(simulated_ns); }

void work() {
    const int count = 1 + static_cast<int>(below(6));
    for (int i = 0; i < count; ++i) {
        const std::uint64_t key = below(kKeys);
        const std::int64_t asked = simulated_ns;
        const std::int64_t now = now_in_grains();
        before_shared_access();  // held up after reading the clock
        const bool granted = table->take(hash_of(key), now, 1).granted;
        (granted ? grants : refusals)[key].push_back({asked, simulated_ns});
        before_shared_access();
    }
    processes[running].over = true;
    swapcontext(&processes[running].context, &scheduler);
}

void begin() {
    std::memset(static_cast<void*>(entries), 0, sizeof entries);
    stamps = 0;
    grants.clear();
    refusals.clear();
    simulated_ns = 1000;
    // Entries of others whose moments have passed, reservations of dead processes, vacated ones.
    const std::uint64_t used = below(5);
    for (std::uint64_t i = 0; i < used; ++i) {
        const std::uint64_t kind = below(4);
        if (kind == 0) entries[i] = {1, 0};
        if (kind == 1) entries[i] = {200 + i, 5};
        if (kind == 2) entries[i] = {200 + i, -1000 - static_cast<std::int64_t>(i)};
        if (kind == 3) entries[i] = {hash_of(below(kKeys)), -2000 - static_cast<std::int64_t>(i)};
    }
    table.reset(new BucketTable(entries, kEntries, &stamps, sigil::TokenTime(1ULL << 63, 32, kBurst), 0, true));
    for (int i = 0; i < kProcesses; ++i) {
        Process& process = processes[i];
        process.over = false;
        getcontext(&process.context);
        process.context.uc_stack.ss_sp = process.stack.get();
        process.context.uc_stack.ss_size = kStack;
        process.context.uc_link = nullptr;
        makecontext(&process.context, work, 0);
    }
}

std::string problem() {
    // A key never has two settled entries.
    for (std::uint64_t key = 0; key < kKeys; ++key) {
        int settled = 0;
        for (const Pair& entry : entries) settled += entry.first == hash_of(key) && entry.second > 0;
        if (settled > 1) return "a key has two entries";
    }
    return "";
}

std::string verdict() {
    for (const auto& [key, list] : grants) {
        for (const Grant& first : list) {
            for (const Grant& last : list) {
                const std::int64_t from = first.asked;
                const std::int64_t until = last.answered;
                if (until < from) continue;
                std::int64_t count = 0;
                for (const Grant& grant : list) count += grant.asked >= from && grant.answered <= until;
                if (count * kTokenNs > kBurst * kTokenNs + (until - from)) return "more granted than the bucket holds";
            }
        }
    }
    // Not more was ever asked of a key than a full bucket holds: nobody has a reason to refuse.
    for (const auto& [key, list] : refusals) {
        if (list.size() + grants[key].size() <= kBurst) return "refused without a reason";
    }
    return "";
}

}  // namespace

int main(int, char** arguments) {
    const std::uint64_t seed = std::strtoull(arguments[1], nullptr, 10);
    const std::uint64_t rounds = std::strtoull(arguments[2], nullptr, 10);
    std::uint64_t steps = 0;
    std::uint64_t deaths = 0;
    for (std::uint64_t round = 0; round < rounds; ++round) {
        random_bits.seed(seed + round);
        begin();
        const bool lethal = below(3) == 0;
        std::string found;
        for (int left = kProcesses; left > 0 && found.empty();) {
            const int next = static_cast<int>(below(kProcesses));
            if (processes[next].over) continue;
            if (lethal && below(60) == 0) {
                processes[next].over = true;
                ++deaths;
            } else {
                running = next;
                swapcontext(&scheduler, &processes[next].context);
                running = -1;
            }
            ++steps;
            left -= processes[next].over;
            if (below(4) == 0) simulated_ns += static_cast<std::int64_t>(below(below(10) == 0 ? 60 : 4));
            found = problem();
        }
        if (found.empty()) found = verdict();
        if (!found.empty()) {
            std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed + round), found.c_str());
            return 1;
        }
    }
    std::printf("%llu rounds, %llu steps, %llu deaths\n", static_cast<unsigned long long>(rounds),
                static_cast<unsigned long long>(steps), static_cast<unsigned long long>(deaths));
    return 0;
}
