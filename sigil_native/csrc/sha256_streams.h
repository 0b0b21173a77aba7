// Messages and pairs of messages, on hardware that does whole rounds: one text for all of it.
// Included inside the namespace of a kernel, behind its State, its Words and compress_block(),
// which works on one stream or on two that take turns. SIGIL_SHA says what the functions need.

SIGIL_SHA void compress(std::uint32_t* state, const std::uint8_t* blocks, std::size_t count) noexcept {
    State running = load_state(state);
    for (; count != 0; --count, blocks += kBlockSize) {
        Words words = load_block(blocks);
        compress_block<1>(&running, &words);
    }
    store_state(state, running);
}

SIGIL_SHA void hmac(const HmacState& key, const PaddedMessage& message, std::uint8_t* tag) noexcept {
    State state = load_state(key.inner);
    for (std::size_t i = 0; i < message.total; ++i) {
        Words words = load_block(message.block(i));
        compress_block<1>(&state, &words);
    }
    Words words = outer_block(state);
    state = load_state(key.outer);
    compress_block<1>(&state, &words);
    store_digest(state, tag);
}

// What is left of two messages: side by side as far as both go, then the longer one alone.
SIGIL_SHA_INLINE void run_two(State* state, const PaddedMessage& first, const PaddedMessage& second,
                              std::size_t from) noexcept {
    const PaddedMessage* const messages[2] = {&first, &second};
    Words words[2];
    const std::size_t common = first.total < second.total ? first.total : second.total;
    std::size_t i = from;
    for (; i < common; ++i) {
        words[0] = load_block(first.block(i));
        words[1] = load_block(second.block(i));
        compress_block<2>(state, words);
    }
    const int longer = first.total < second.total ? 1 : 0;
    State rest = state[longer];
    for (; i < messages[longer]->total; ++i) {
        words[0] = load_block(messages[longer]->block(i));
        compress_block<1>(&rest, words);
    }
    state[longer] = rest;
}

SIGIL_SHA void hash_two(std::uint32_t* first_state, std::uint32_t* second_state, const PaddedMessage& first,
                        const PaddedMessage& second, std::size_t from) noexcept {
    State state[2] = {load_state(first_state), load_state(second_state)};
    run_two(state, first, second, from);
    store_state(first_state, state[0]);
    store_state(second_state, state[1]);
}

// The outer hashes side by side again.
SIGIL_SHA void hmac_two(const HmacState& key, const PaddedMessage& first, const PaddedMessage& second,
                        std::uint8_t* first_tag, std::uint8_t* second_tag) noexcept {
    State state[2] = {load_state(key.inner), load_state(key.inner)};
    run_two(state, first, second, 0);
    Words words[2] = {outer_block(state[0]), outer_block(state[1])};
    state[0] = state[1] = load_state(key.outer);
    compress_block<2>(state, words);
    store_digest(state[0], first_tag);
    store_digest(state[1], second_tag);
}
