// What two bytes in a row say about UTF-8: three tables of 16, which the vector checks look up by halves of bytes.
// A bit stands for a rule. It is set for each half with which two bytes may break that rule; where the upper and the
// lower half of the first byte and the upper half of the second all name it, they do (Keiser and Lemire, "Validating
// UTF-8 In Less Than One Instruction Per Byte", 2021). That two bytes in a row continue a sequence is in order where
// the byte two places before the second began one of three or four bytes, or that three places before it one of four.
#pragma once

#include <cstdint>

namespace sigil {

class Utf8Rules {
    static constexpr std::uint8_t kTooShort = 1 << 0;   // a sequence is not gone on with
    static constexpr std::uint8_t kTooLong = 1 << 1;    // ASCII is
    static constexpr std::uint8_t kOverlong3 = 1 << 2;  // E0 80 to E0 9F
    static constexpr std::uint8_t kTooLarge = 1 << 3;   // F4 90 and above
    static constexpr std::uint8_t kSurrogate = 1 << 4;  // ED A0 to ED BF
    static constexpr std::uint8_t kOverlong2 = 1 << 5;  // C0, C1
    static constexpr std::uint8_t kOverlong4 = 1 << 6;  // F0 80 to F0 8F; also F5 80 and above

  public:
    static constexpr std::uint8_t kTwoContinue = 1 << 7;  // in order only inside a longer sequence
    // The top bit of a byte less this one, or less that one, is set where it begins so long a sequence.
    static constexpr std::uint8_t kBelowThree = 0xE0 - 0x80;
    static constexpr std::uint8_t kBelowFour = 0xF0 - 0x80;

  private:
    static constexpr std::uint8_t kAnyLower = kTooShort | kTooLong | kTwoContinue;
    static constexpr std::uint8_t kAnyAbove4 = kAnyLower | kTooLarge | kOverlong4;
    static constexpr std::uint8_t kContinues = kTooLong | kOverlong2 | kTwoContinue;

  public:
    // By the upper half of the first byte.
    alignas(16) static constexpr std::uint8_t kUpperBefore[16] = {
        kTooLong,     kTooLong,     kTooLong,     kTooLong,
        kTooLong,     kTooLong,     kTooLong,     kTooLong,
        kTwoContinue, kTwoContinue, kTwoContinue, kTwoContinue,
        kTooShort | kOverlong2,     kTooShort,    kTooShort | kOverlong3 | kSurrogate,
        kTooShort | kTooLarge | kOverlong4,
    };
    // By its lower half.
    alignas(16) static constexpr std::uint8_t kLowerBefore[16] = {
        kAnyLower | kOverlong2 | kOverlong3 | kOverlong4, kAnyLower | kOverlong2,
        kAnyLower,  kAnyLower,  kAnyLower | kTooLarge,
        kAnyAbove4, kAnyAbove4, kAnyAbove4, kAnyAbove4, kAnyAbove4, kAnyAbove4, kAnyAbove4, kAnyAbove4,
        kAnyAbove4 | kSurrogate, kAnyAbove4, kAnyAbove4,
    };
    // By the upper half of the second byte.
    alignas(16) static constexpr std::uint8_t kUpper[16] = {
        kTooShort, kTooShort, kTooShort, kTooShort, kTooShort, kTooShort, kTooShort, kTooShort,
        kContinues | kOverlong3 | kOverlong4,
        kContinues | kOverlong3 | kTooLarge,
        kContinues | kSurrogate | kTooLarge, kContinues | kSurrogate | kTooLarge,
        kTooShort, kTooShort, kTooShort, kTooShort,
    };
};

}  // namespace sigil
