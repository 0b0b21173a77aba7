#include "json_levels.h"

#include <atomic>
#include <cstring>

namespace sigil {
namespace {

struct Levels {
    VectorLevel all[4];
    std::size_t count = 0;
    std::atomic<const VectorLevel*> chosen{nullptr};

    Levels() noexcept {
#if SIGIL_X86_LEVELS
        // These ask the processor and, for the wide registers, the operating system.
        __builtin_cpu_init();
        const bool bits = __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                          __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("pclmul");
        const bool has_avx2 = bits && __builtin_cpu_supports("avx2");
        const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                                __builtin_cpu_supports("avx512vbmi2");
        add("avx512", has_avx512 && proves_itself(avx512::transcode), avx512::transcode);
        add("avx2", has_avx2 && proves_itself(avx2::transcode), avx2::transcode);
        add("sse2", proves_itself(sse2::transcode), sse2::transcode);
#elif SIGIL_ARM_LEVELS
        add("neon", proves_itself(neon::transcode), neon::transcode);
#endif
        add("portable", true, portable::transcode);
        for (std::size_t i = count; i-- > 0;) {
            if (all[i].usable) chosen = &all[i];
        }
    }

    void add(const char* name, bool usable, Transcode transcode) noexcept { all[count++] = {name, usable, transcode}; }
};

Levels& levels() noexcept {
    static Levels instance;
    return instance;
}

}  // namespace

const VectorLevel* vector_levels(std::size_t& count) noexcept {
    count = levels().count;
    return levels().all;
}

const VectorLevel* find_vector_level(const char* name) noexcept {
    for (std::size_t i = 0; i < levels().count; ++i) {
        const VectorLevel& level = levels().all[i];
        if (level.usable && std::strcmp(level.name, name) == 0) return &level;
    }
    return nullptr;
}

const VectorLevel& vector_level() noexcept { return *levels().chosen.load(std::memory_order_relaxed); }

void choose_vector_level(const VectorLevel& level) noexcept { levels().chosen.store(&level, std::memory_order_relaxed); }

}  // namespace sigil
