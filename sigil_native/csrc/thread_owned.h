// One object of a type for each thread, made on first use and gone with the thread.
#pragma once

namespace sigil {

namespace detail {

template <typename Object>
Object& make_thread_owned(Object*& known) noexcept {
    thread_local Object object;
    known = &object;
    return object;
}

}  // namespace detail

// A thread_local object with a destructor is looked up twice, its guard first, and compilers look it up anew after
// each call. A pointer to it is looked up once, and stays in a register.
template <typename Object>
inline Object& thread_owned() noexcept {
    thread_local Object* known = nullptr;
    return known != nullptr ? *known : detail::make_thread_owned(known);
}

}  // namespace sigil
