// Token time, as _token_time.py explains it: grains from nanoseconds and back.
#pragma once

#include <cstdint>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace sigil {

class TokenTime {
  public:
    static constexpr int kShift = 61;
    static constexpr std::int64_t kOrigin = std::int64_t{1} << 58;

    TokenTime() noexcept = default;
    TokenTime(std::uint64_t multiplier, std::int64_t token, std::int64_t burst) noexcept
        : multiplier_(multiplier), token_(token), burst_(burst) {}

    std::int64_t token() const noexcept { return token_; }
    // Of a full bucket, in tokens and in grains.
    std::int64_t burst() const noexcept { return burst_; }
    std::int64_t most() const noexcept { return burst_ * token_; }

    // Token time so many nanoseconds after the epoch, or before it.
    std::int64_t grains(std::int64_t nanoseconds) const noexcept {
        if (nanoseconds < -kOrigin) nanoseconds = -kOrigin;
        if (nanoseconds > kOrigin) nanoseconds = kOrigin;
        const auto elapsed = static_cast<std::uint64_t>(nanoseconds + kOrigin);
#if defined(_MSC_VER)
        std::uint64_t high = 0;
        const std::uint64_t low = _umul128(elapsed, multiplier_, &high);
        return static_cast<std::int64_t>(__shiftright128(low, high, kShift));
#else
        return static_cast<std::int64_t>(static_cast<Wide>(elapsed) * multiplier_ >> kShift);
#endif
    }

    // How long so many grains take at most.
    double seconds(std::int64_t grains) const noexcept {
        if (grains <= 0) return 0;
        const auto count = static_cast<std::uint64_t>(grains);
#if defined(_MSC_VER)
        std::uint64_t rest = 0;
        std::uint64_t quotient = _udiv128(count >> (64 - kShift), count << kShift, multiplier_, &rest);
        if (rest != 0) ++quotient;
#else
        const Wide scaled = static_cast<Wide>(count) << kShift;
        const auto quotient = static_cast<std::uint64_t>((scaled + multiplier_ - 1) / multiplier_);
#endif
        return static_cast<double>(quotient) / 1e9;
    }

  private:
#if !defined(_MSC_VER)
    __extension__ typedef unsigned __int128 Wide;
#endif
    std::uint64_t multiplier_ = 0;
    std::int64_t token_ = 0;
    std::int64_t burst_ = 0;
};

}  // namespace sigil
