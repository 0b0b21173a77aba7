// Memory that a thread's walks over Python values use again and again.
#pragma once

#include "member_stack.h"
#include "thread_buffer.h"
#include "thread_owned.h"

namespace sigil {

struct ValueScratch {
    ByteBuffer text;
    MemberStack members;

    // Each keeps what ordinary documents need.
    void trim() noexcept { text.shrink_if_above(kKeptBuffer); }
    void trim_members() noexcept { members.shrink_if_above(std::size_t{1} << 14); }
};

inline ValueScratch& value_scratch() noexcept { return thread_owned<ValueScratch>(); }

}  // namespace sigil
