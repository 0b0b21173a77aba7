#include "hkdf.h"

#include <algorithm>
#include <cstring>

#include "hmac.h"
#include "secret.h"

namespace sigil {

void hkdf(const Sha256Kernel& kernel, const std::uint8_t* secret, std::size_t secret_size,
          const std::uint8_t* salt, std::size_t salt_size, const std::uint8_t* info,
          std::size_t info_size, std::uint8_t* out, std::size_t length) noexcept {
    // Extract (§2.2). No salt means 32 zeros, which HMAC pads to the same block.
    std::uint8_t pseudorandom_key[kDigestSize];
    HmacState key;
    hmac_init(kernel, key, salt, salt_size);
    hmac_digest(kernel, key, secret, secret_size, pseudorandom_key);
    hmac_init(kernel, key, pseudorandom_key, kDigestSize);
    // Expand (§2.3): T(i) = HMAC(T(i-1) || info || i).
    std::uint8_t part[kDigestSize];
    std::uint8_t counter = 0;
    for (std::size_t done = 0; done < length; done += kDigestSize) {
        ++counter;
        HmacStream stream(kernel, key);
        if (done != 0) stream.add(part, kDigestSize);
        stream.add(info, info_size);
        stream.add(&counter, 1);
        stream.finish(part);
        std::memcpy(out + done, part, std::min(kDigestSize, length - done));
    }
    wipe(part, sizeof part);
    wipe(pseudorandom_key, sizeof pseudorandom_key);
    wipe(&key, sizeof key);
}

}  // namespace sigil
