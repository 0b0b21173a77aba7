// Functions between SIGIL_TARGET_BEGIN and SIGIL_TARGET_END may use instructions
// that the rest of the build may not. Headers of the standard library stay
// outside: what they define is shared with code that runs on every machine.
#pragma once

#define SIGIL_PRAGMA(text) _Pragma(#text)

#if defined(SIGIL_EMULATED)
// Tests stand in for the instructions with functions of their own: see sha256_lanes.h.
#define SIGIL_TARGET_BEGIN(features)
#define SIGIL_TARGET_END
#elif defined(__clang__)
#define SIGIL_TARGET_BEGIN(features) \
    SIGIL_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define SIGIL_TARGET_END SIGIL_PRAGMA(clang attribute pop)
#else
#define SIGIL_TARGET_BEGIN(features) \
    SIGIL_PRAGMA(GCC push_options)   \
    SIGIL_PRAGMA(GCC target(features))
#define SIGIL_TARGET_END SIGIL_PRAGMA(GCC pop_options)
#endif
