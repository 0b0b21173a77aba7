#include "json_diagnosis.h"

#include <set>
#include <string>
#include <vector>

#include "json_number.h"
#include "json_utf8.h"

namespace sigil {
namespace {

class Walk {
  public:
    Walk(const std::uint8_t* text, std::size_t size, const JsonOptions& options, Failure& failure)
        : text_(text), size_(size), options_(options), failure_(failure) {}

    bool run();

  private:
    enum class Expected : std::uint8_t { value, first_item, first_name, name, colon, separator, end };

    struct Container {
        bool object;
        std::size_t pointer_size;     // of this container's own pointer
        std::size_t items = 0;        // of an array: index of the current one
        std::set<std::string> names;  // of an object
    };

    bool fail(Problem problem, std::size_t offset);
    bool unexpected(Problem problem);
    bool step();
    bool begin_value();
    bool open(bool object);
    void close();
    void begin_item();
    bool literal(const char* word);
    bool number();
    bool name();
    bool separator();
    bool string(std::string& value);
    bool escape(std::string& value);
    void finish_value();

    void skip_space() {
        while (at_ != size_ && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
            ++at_;
        }
    }
    bool next_is(std::uint8_t byte) const { return at_ != size_ && text_[at_] == byte; }

    const std::uint8_t* text_;
    std::size_t size_;
    const JsonOptions& options_;
    Failure& failure_;
    std::size_t at_ = 0;
    Expected expected_ = Expected::value;
    std::string pointer_;
    std::vector<Container> open_;
};

bool Walk::fail(Problem problem, std::size_t offset) {
    failure_.problem = problem;
    failure_.offset = offset;
    failure_.pointer = pointer_;
    return false;
}

// A byte that no token may begin with here; or the end of the text, or a byte
// that is not even UTF-8.
bool Walk::unexpected(Problem problem) {
    if (at_ == size_) return fail(Problem::unexpected_end, size_);
    if (utf8_sequence(text_ + at_, size_ - at_) == 0) return fail(Problem::invalid_utf8, at_);
    return fail(problem, at_);
}

bool Walk::run() {
    if (size_ >= 3 && text_[0] == 0xEF && text_[1] == 0xBB && text_[2] == 0xBF) {
        return fail(Problem::byte_order_mark, 0);
    }
    while (expected_ != Expected::end) {
        skip_space();
        if (!step()) return false;
    }
    skip_space();
    return at_ == size_ || unexpected(Problem::trailing_data);
}

bool Walk::step() {
    switch (expected_) {
        case Expected::value: return begin_value();
        case Expected::first_item:
            if (next_is(']')) {
                close();
            } else {
                begin_item();
            }
            return true;
        case Expected::first_name:
            if (next_is('}')) {
                close();
                return true;
            }
            return next_is('"') ? name() : unexpected(Problem::expected_name_or_end);
        case Expected::name: return next_is('"') ? name() : unexpected(Problem::expected_name);
        case Expected::colon:
            if (!next_is(':')) return unexpected(Problem::expected_colon);
            ++at_;
            expected_ = Expected::value;
            return true;
        case Expected::separator: return separator();
        case Expected::end: break;
    }
    return true;
}

bool Walk::begin_value() {
    if (at_ == size_) return unexpected(Problem::expected_value);
    const std::uint8_t first = text_[at_];
    switch (first) {
        case '{': return open(true);
        case '[': return open(false);
        case 't': return literal("true");
        case 'f': return literal("false");
        case 'n': return literal("null");
        case '"': {
            std::string ignored;
            if (!string(ignored)) return false;
            finish_value();
            return true;
        }
        default: break;
    }
    if (first == '-' || (first >= '0' && first <= '9')) return number();
    return unexpected(Problem::expected_value);
}

bool Walk::open(bool object) {
    if (open_.size() >= options_.max_depth) return fail(Problem::nesting_too_deep, at_);
    ++at_;
    Container container;
    container.object = object;
    container.pointer_size = pointer_.size();
    open_.push_back(std::move(container));
    expected_ = object ? Expected::first_name : Expected::first_item;
    return true;
}

void Walk::close() {
    ++at_;
    open_.pop_back();
    finish_value();
}

void Walk::finish_value() {
    if (open_.empty()) {
        pointer_.clear();
        expected_ = Expected::end;
        return;
    }
    pointer_.resize(open_.back().pointer_size);
    expected_ = Expected::separator;
}

void Walk::begin_item() {
    pointer_ += '/';
    pointer_ += std::to_string(open_.back().items++);
    expected_ = Expected::value;
}

bool Walk::separator() {
    const bool object = open_.back().object;
    if (next_is(',')) {
        ++at_;
        if (object) {
            expected_ = Expected::name;
        } else {
            begin_item();
        }
        return true;
    }
    if (next_is(object ? '}' : ']')) {
        close();
        return true;
    }
    return unexpected(object ? Problem::expected_comma_or_brace : Problem::expected_comma_or_bracket);
}

bool Walk::literal(const char* word) {
    for (; *word != '\0'; ++word, ++at_) {
        if (at_ == size_) return fail(Problem::unexpected_end, size_);
        if (text_[at_] != static_cast<std::uint8_t>(*word)) return fail(Problem::invalid_literal, at_);
    }
    finish_value();
    return true;
}

bool Walk::number() {
    NumberToken token;
    const Problem problem = read_number(text_ + at_, text_ + size_, options_.exact_integers, token);
    const bool malformed = problem == Problem::invalid_number || problem == Problem::unexpected_end;
    const auto end = static_cast<std::size_t>(token.end - text_);
    if (problem != Problem::none) return fail(problem, malformed ? end : at_);
    at_ = end;
    finish_value();
    return true;
}

bool Walk::name() {
    const std::size_t begin = at_;
    std::string unescaped;
    if (!string(unescaped)) return false;
    pointer_ += '/';
    for (const char c : unescaped) {
        if (c == '~') {
            pointer_ += "~0";
        } else if (c == '/') {
            pointer_ += "~1";
        } else {
            pointer_ += c;
        }
    }
    if (!open_.back().names.insert(std::move(unescaped)).second) return fail(Problem::duplicate_name, begin);
    expected_ = Expected::colon;
    return true;
}

bool Walk::string(std::string& value) {
    for (++at_; at_ != size_;) {
        const std::uint8_t byte = text_[at_];
        if (byte == '"') {
            ++at_;
            return true;
        }
        if (byte < 0x20) return fail(Problem::control_character, at_);
        if (byte == '\\') {
            if (!escape(value)) return false;
            continue;
        }
        const std::uint32_t length = utf8_sequence(text_ + at_, size_ - at_);
        if (length == 0) return fail(Problem::invalid_utf8, at_);
        value.append(reinterpret_cast<const char*>(text_ + at_), length);
        at_ += length;
    }
    return fail(Problem::unexpected_end, size_);
}

bool Walk::escape(std::string& value) {
    if (at_ + 1 == size_) return fail(Problem::unexpected_end, size_);
    EscapeToken token;
    switch (read_escape(text_ + at_, size_ - at_, token)) {
        case Escape::ok: break;
        case Escape::invalid: return fail(Problem::invalid_escape, at_);
        case Escape::lone_surrogate: return fail(Problem::lone_surrogate, at_);
    }
    std::uint8_t bytes[4];
    const std::uint8_t* end = put_utf8(token.point, bytes);
    value.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(end - bytes));
    at_ += token.size;
    return true;
}

}  // namespace

bool is_canonicalizable(const std::uint8_t* text, std::size_t size, const JsonOptions& options,
                        Failure& failure) noexcept {
    try {
        return Walk(text, size, options, failure).run();
    } catch (...) {  // only for want of memory
        failure.problem = Problem::out_of_memory;
        failure.offset = 0;
        failure.pointer.clear();
        return false;
    }
}

}  // namespace sigil
