// Pass 3: write the text with its patches applied.
// Included inside the namespace of a level, after its Block.

// Writes whole vectors; up to ByteBuffer::kSlack bytes past what it returns.
class Emitter {
  public:
    explicit Emitter(const Scratch& scratch) noexcept
        : text_(scratch.text.data()),
          replacements_(scratch.replacements.data()),
          sorted_(scratch.sorted.data()),
          kept_(scratch.kept.data()) {}

    // [begin, end) with `count` patches, which are in order and do not overlap.
    // Recursion is as deep as the nesting of objects.
    std::uint8_t* span(std::uint8_t* out, std::uint32_t begin, std::uint32_t end, const Patch* patch,
                       std::uint32_t count) const noexcept {
        for (const Patch* const last = patch + count; patch != last; ++patch) {
            out = copy(out, text_ + begin, patch->begin - begin);
            if (text_[patch->begin] == '{') {
                out = object(out, sorted_ + patch->source, patch->size);
            } else {
                out = copy(out, replacements_ + patch->source, patch->size);
            }
            begin = patch->end;
        }
        return copy(out, text_ + begin, end - begin);
    }

  private:
    std::uint8_t* object(std::uint8_t* out, const SortedMember* member, std::uint32_t count) const noexcept {
        *out++ = '{';
        for (const SortedMember* const last = member + count; member != last; ++member) {
            const std::uint32_t begin = place_of(member->begin), end = place_of(member->end);
            const std::uint32_t first = patches_of(member->begin), last_patch = patches_of(member->end);
            if (SIGIL_LIKELY(first == last_patch)) {
                out = copy(out, text_ + begin, end - begin);
            } else {
                out = span(out, begin, end, kept_ + first, last_patch - first);
            }
            *out++ = ',';
        }
        out[-1] = '}';
        return out;
    }

    static SIGIL_INLINE std::uint8_t* copy(std::uint8_t* out, const std::uint8_t* in, std::uint32_t size) noexcept {
        copy_short(out, in);
        for (std::uint32_t done = kShortCopy; SIGIL_UNLIKELY(done < size); done += 64) copy64(out + done, in + done);
        return out + size;
    }

    const std::uint8_t* text_;
    const std::uint8_t* replacements_;
    const SortedMember* sorted_;
    const Patch* kept_;
};
