// The lines of a body that asks for seals, and the plain ones among them:
//
//   {"data":{…}}    {"data":{…},"expires_in":60}    {"data":{…},"expires_in":null}
//
// White space may stand between the tokens. The two ends of such a line are read from without, so that
// nobody walks over the payload twice: what is left between them only claims to be a JSON object. If it is
// one, by itself and to its last byte, then the line is one JSON text with these members and no others.
// If it is not, or the ends are different, the line is somebody else's to read: there may still be
// something to do (a lifetime with a fraction, escapes in a name), or something to explain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace sigil {

struct PlainRequest {
    const std::uint8_t* payload;  // begins with `{` and ends with `}`
    std::size_t size;
    std::int64_t lifetime_ms;  // 0: for ever
};

namespace request {

// A century, in seconds, as in _constants.py. What shall last longer is not plain.
constexpr std::int64_t kLongestLifetime = 3155760000;

inline bool is_blank(std::uint8_t byte) noexcept { return byte == ' ' || byte == '\t' || byte == '\r'; }

// What is left of a line, taken away from both ends.
struct Rest {
    const std::uint8_t* begin;
    const std::uint8_t* end;

    void skip_first_blanks() noexcept {
        while (begin != end && is_blank(*begin)) ++begin;
    }
    bool take_first(std::string_view text) noexcept {
        skip_first_blanks();
        if (static_cast<std::size_t>(end - begin) < text.size()) return false;
        if (std::memcmp(begin, text.data(), text.size()) != 0) return false;
        begin += text.size();
        return true;
    }
    void skip_last_blanks() noexcept {
        while (begin != end && is_blank(end[-1])) --end;
    }
    bool ends_with(char byte) const noexcept { return begin != end && end[-1] == static_cast<std::uint8_t>(byte); }
    bool take_last(std::string_view text) noexcept {
        skip_last_blanks();
        if (static_cast<std::size_t>(end - begin) < text.size()) return false;
        if (std::memcmp(end - text.size(), text.data(), text.size()) != 0) return false;
        end -= text.size();
        return true;
    }
    // A whole number of seconds without needless zeros; 0: there is none.
    std::int64_t take_last_number() noexcept {
        std::int64_t value = 0;
        std::int64_t weight = 1;
        std::uint8_t first = '0';
        for (int digits = 0; digits < 10 && begin != end && end[-1] >= '0' && end[-1] <= '9'; ++digits) {
            first = *--end;
            value += (first - '0') * weight;
            weight *= 10;
        }
        return first == '0' ? 0 : value;
    }
};

}  // namespace request

// Reads the ends of a line. False: it is not plain.
inline bool read_plain_request(const std::uint8_t* line, std::size_t size, PlainRequest& out) noexcept {
    request::Rest rest{line, line + size};
    if (!rest.take_first("{") || !rest.take_first("\"data\"") || !rest.take_first(":")) return false;
    if (!rest.take_first("{")) return false;
    --rest.begin;
    if (!rest.take_last("}")) return false;
    rest.skip_last_blanks();
    out.lifetime_ms = 0;
    if (!rest.ends_with('}')) {
        if (!rest.take_last("null")) {
            const std::int64_t seconds = rest.take_last_number();
            if (seconds == 0 || seconds > request::kLongestLifetime) return false;
            out.lifetime_ms = seconds * 1000;
        }
        if (!rest.take_last(":") || !rest.take_last("\"expires_in\"") || !rest.take_last(",")) return false;
        rest.skip_last_blanks();
        if (!rest.ends_with('}')) return false;
    }
    out.payload = rest.begin;
    out.size = static_cast<std::size_t>(rest.end - rest.begin);
    return true;
}

// A line, without its end: a line feed, or a carriage return and a line feed.
struct FoundLine {
    std::size_t number;
    std::size_t begin;
    std::size_t size;
};

// Goes from line to line of a text.
class LineWalker {
  public:
    LineWalker() = default;
    LineWalker(const std::uint8_t* text, std::size_t size, std::size_t number) noexcept
        : text_(text), size_(size), number_(number) {}

    bool next(FoundLine& out) noexcept {
        if (at_ == size_) return false;
        const std::uint8_t* const line = text_ + at_;
        const void* const found = std::memchr(line, '\n', size_ - at_);
        const std::size_t length =
            found == nullptr ? size_ - at_ : static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) - line);
        const bool has_return = found != nullptr && length != 0 && line[length - 1] == '\r';
        out = {number_++, at_, length - has_return};
        at_ += length + (found != nullptr);
        return true;
    }

    // Of the line behind the last one that was looked at.
    std::size_t number() const noexcept { return number_; }

  private:
    const std::uint8_t* text_ = nullptr;
    std::size_t size_ = 0;
    std::size_t number_ = 1;
    std::size_t at_ = 0;
};

// Goes from line to line of a body. Blank ones are counted, and passed over.
class LineFinder {
  public:
    LineFinder() = default;
    LineFinder(const std::uint8_t* text, std::size_t size, std::size_t number) noexcept
        : text_(text), lines_(text, size, number) {}

    bool next(FoundLine& out) noexcept {
        while (lines_.next(out)) {
            std::size_t blanks = 0;
            while (blanks != out.size && request::is_blank(text_[out.begin + blanks])) ++blanks;
            if (blanks != out.size) return true;
        }
        return false;
    }

    std::size_t number() const noexcept { return lines_.number(); }

  private:
    const std::uint8_t* text_ = nullptr;
    LineWalker lines_;
};

}  // namespace sigil
