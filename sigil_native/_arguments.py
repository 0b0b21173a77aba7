"""Checks of callers' arguments, the same for both backends."""

from __future__ import annotations

from sigil_native._constants import (
    FORMS,
    FULL_POLICIES,
    INTEGER_MODES,
    KEY_STATES,
    MAX_DEPTH_CEILING,
    MAX_EXPIRY_MS,
    MAX_SAFE_INTEGER,
    MAX_TENANT_SIZE,
    MIN_SECRET_SIZE,
    MOST_PLACES,
    SIGNED_TEXTS,
    TAG_SIZE,
)
from sigil_native.errors import (
    InvalidExpiryError,
    InvalidOptionError,
    InvalidTenantError,
    WeakSecretError,
)

TYPE_CHECKING = False  # importing typing would take longer than the rest of this package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeGuard

_LARGEST_CACHE = 1 << 24
_LARGEST_TABLE = 1 << 30


def _type_name(value: object) -> str:
    return type(value).__name__


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def readable_bytes(value: object, what: str) -> memoryview:
    """The bytes of a bytes-like argument.

    Raises:
        TypeError: it is not bytes-like, or not contiguous.
    """
    try:
        view = memoryview(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{what} must be bytes-like, not {_type_name(value)}") from None
    if not view.c_contiguous:
        raise TypeError(f"{what} must be contiguous")
    # cast() knows native formats only, and a ctypes array has others.
    return view if view.format == "B" and view.ndim == 1 else memoryview(view.tobytes())


def text_bytes(text: object, what: str) -> bytes:
    """The bytes of a text given as str or as its UTF-8 bytes.

    Surrogates of a str become the bytes that UTF-8 would have for them, so that
    the reader of the text finds them where they are.

    Raises:
        TypeError: the text is neither str nor bytes-like, or not contiguous.
    """
    if isinstance(text, str):
        return str.encode(text, "utf-8", "surrogatepass")
    if type(text) is bytes:
        return text
    try:
        view = memoryview(text)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{what} must be str or bytes-like, not {_type_name(text)}") from None
    if not view.c_contiguous:
        raise TypeError(f"{what} must be contiguous")
    return view.tobytes()


def payload_list(payloads: Iterable[object]) -> list[object]:
    """The payloads of a batch.

    Raises:
        TypeError: not an iterable, or one payload where several are meant: a str, bytes or dict
            would come apart into letters or names.
    """
    if isinstance(payloads, (str, bytes, bytearray, memoryview, dict)):
        raise TypeError(f"payloads must be an iterable of payloads, not {_type_name(payloads)}")
    return list(payloads)


def secret_bytes(secret: object) -> bytes:
    """The bytes of a secret given as text (UTF-8) or bytes; at least 32.

    They are a copy of the caller's own, which may be overwritten after use.

    Raises:
        TypeError: the secret is neither str nor bytes-like.
        InvalidOptionError: a str that has no UTF-8 form.
        WeakSecretError: fewer than 32 bytes.
    """
    if isinstance(secret, str):
        try:
            raw = str.encode(secret)
        except UnicodeEncodeError:
            raise InvalidOptionError("secret is not valid Unicode") from None
    else:
        try:
            view = memoryview(secret)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"secret must be str or bytes-like, not {_type_name(secret)}") from None
        raw = view.tobytes()
    if len(raw) < MIN_SECRET_SIZE:
        raise WeakSecretError(f"a secret has at least {MIN_SECRET_SIZE} bytes, this one has {len(raw)}")
    return raw


def tenant_bytes(tenant: object) -> bytes:
    """The UTF-8 bytes of a tenant's name, 1 to 128 of them.

    Raises:
        TypeError: the tenant is not a str.
        InvalidTenantError: empty, too long, or without a UTF-8 form.
    """
    if not isinstance(tenant, str):
        raise TypeError(f"tenant must be str, not {_type_name(tenant)}")
    try:
        raw = str.encode(tenant)
    except UnicodeEncodeError:
        raw = b""
    if not 1 <= len(raw) <= MAX_TENANT_SIZE:
        raise InvalidTenantError(f"a tenant has 1 to {MAX_TENANT_SIZE} bytes of UTF-8")
    return raw


def json_options(integers: object, max_depth: object, max_bytes: object) -> tuple[bool, int, int | None]:
    """Check the options of the canonicalisers: (exact integers?, depth, size limit).

    Raises:
        TypeError: max_depth or max_bytes is of a wrong type.
        InvalidOptionError: a value is unknown or out of range.
    """
    if integers not in INTEGER_MODES:
        raise InvalidOptionError('integers must be "safe" or "exact"')
    if not isinstance(max_depth, int) or isinstance(max_depth, bool):
        raise TypeError(f"max_depth must be int, not {_type_name(max_depth)}")
    if not 1 <= max_depth <= MAX_DEPTH_CEILING:
        raise InvalidOptionError(f"max_depth must be between 1 and {MAX_DEPTH_CEILING}")
    if max_bytes is not None:
        if not isinstance(max_bytes, int) or isinstance(max_bytes, bool):
            raise TypeError(f"max_bytes must be int or None, not {_type_name(max_bytes)}")
        if max_bytes < 0:
            raise InvalidOptionError("max_bytes must not be negative")
    return integers == "exact", max_depth, max_bytes


def check_form(form: object) -> None:
    """Raise InvalidOptionError unless ``form`` names a form of a sigil."""
    if form not in FORMS:
        raise InvalidOptionError('form must be "text", "strand", "token" or "binary"')


def check_line_form(form: object) -> None:
    """Raise InvalidOptionError unless ``form`` names a form that fits on a line."""
    if form not in FORMS or form == "binary":
        raise InvalidOptionError('form must be "text", "strand" or "token"')


def check_signed_text(text: object) -> None:
    """Raise InvalidOptionError unless ``text`` names a text that event signatures cover."""
    if text not in SIGNED_TEXTS:
        raise InvalidOptionError('text must be "jcs" or "json-stringify"')


def check_key_state(state: object) -> None:
    """Raise InvalidOptionError unless ``state`` names a state of a key."""
    if state not in KEY_STATES:
        raise InvalidOptionError('state must be "active", "verify-only" or "revoked"')


def lifetime_ms(expires_in: object) -> int | None:
    """A lifetime in whole milliseconds; None for a sigil that never expires.

    Raises:
        TypeError: not a number.
        InvalidExpiryError: under a millisecond, not finite, or beyond the year 9999.
    """
    if expires_in is None:
        return None
    if not _is_number(expires_in):
        raise TypeError(f"expires_in must be a number of seconds or None, not {_type_name(expires_in)}")
    if not 0 < expires_in <= MAX_EXPIRY_MS // 1000:
        raise InvalidExpiryError
    milliseconds = round(expires_in * 1000)
    if milliseconds < 1:
        raise InvalidExpiryError
    return milliseconds


def skew_ms(max_future_skew: object) -> int:
    """A tolerance in whole milliseconds.

    Raises:
        TypeError: not a number.
        InvalidOptionError: negative, not finite, or beyond all clocks.
    """
    if not _is_number(max_future_skew):
        raise TypeError(f"max_future_skew must be a number of seconds, not {_type_name(max_future_skew)}")
    if not 0 <= max_future_skew <= MAX_EXPIRY_MS // 1000:
        raise InvalidOptionError("max_future_skew is out of range")
    return round(max_future_skew * 1000)


def moment_ms(value: object, what: str) -> int | None:
    """A moment in whole milliseconds since the Unix epoch, the nearest; None stays None.

    The nearest, because most decimal fractions are a little less or more as a float.

    Raises:
        TypeError: not a number.
        InvalidOptionError: before 1970, after 9999, or not finite.
    """
    if value is None:
        return None
    if not _is_number(value):
        raise TypeError(f"{what} must be a number of seconds or None, not {_type_name(value)}")
    if not 0 <= value <= MAX_EXPIRY_MS // 1000:
        raise InvalidOptionError(f"{what} is out of range")
    return round(value * 1000)


def cache_size(value: object) -> int:
    """The size of a cache.

    Raises:
        TypeError: not an int.
        InvalidOptionError: negative, or beyond all memory.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"tenant_cache_size must be int, not {_type_name(value)}")
    if not 0 <= value <= _LARGEST_CACHE:
        raise InvalidOptionError("tenant_cache_size is out of range")
    return value


def key_id_number(value: object) -> int:
    """A key id that a caller names; any int, as a ring can say that it holds no such key.

    Raises:
        TypeError: not an int.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"key_id must be int, not {_type_name(value)}")
    return value


def audit_position(sequence: object, tag: object) -> tuple[int, bytes]:
    """A line's place in an audit chain: its sequence number and its tag, 0 and zeros before the first.

    Raises:
        TypeError: a wrong type.
        InvalidOptionError: out of range, or only one of both says that there is no line.
    """
    if not isinstance(sequence, int) or isinstance(sequence, bool):
        raise TypeError(f"sequence must be int, not {_type_name(sequence)}")
    if not 0 <= sequence <= MAX_SAFE_INTEGER:
        raise InvalidOptionError("sequence must be between 0 and 2^53-1")
    raw = readable_bytes(tag, "the tag").tobytes()
    if len(raw) != TAG_SIZE:
        raise InvalidOptionError(f"a tag has {TAG_SIZE} bytes")
    if (sequence == 0) != (raw == bytes(TAG_SIZE)):
        raise InvalidOptionError("sequence 0, and no other, goes with a tag of zeros")
    return sequence, raw


def audit_members(members: object) -> dict[object, object]:
    """The members of an audit line.

    Raises:
        TypeError: not a mapping.
    """
    if isinstance(members, dict):
        return members
    from collections.abc import Mapping as Kind  # noqa: PLC0415 - here, for what is rare

    if not isinstance(members, Kind):
        raise TypeError(f"members must be a mapping, not {_type_name(members)}")
    return dict(members)


def audit_batch(batch: object) -> list[object]:
    """The lines of a group, each given by its members.

    Raises:
        TypeError: not an iterable, or one mapping where several are meant.
    """
    if isinstance(batch, (str, bytes, bytearray, memoryview, dict)):
        raise TypeError(f"batch must be an iterable of mappings, not {_type_name(batch)}")
    return list(batch)  # type: ignore[call-overload, no-any-return]


def bucket_capacity(value: object) -> int:
    """For how many keys a table of buckets has room.

    Raises:
        TypeError: not an int.
        InvalidOptionError: less than 1, or beyond all memory.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"capacity must be int, not {_type_name(value)}")
    if not 1 <= value <= _LARGEST_TABLE:
        raise InvalidOptionError(f"capacity must be between 1 and {_LARGEST_TABLE}")
    return value


def bucket_clock(clock: object) -> Callable[[], int] | None:
    """A clock that a caller brings along.

    Raises:
        TypeError: it cannot be called.
    """
    if clock is not None and not callable(clock):
        raise TypeError(f"clock must be callable, not {_type_name(clock)}")
    return clock


def check_full_policy(policy: object) -> bool:
    """Whether new keys are allowed while a table is full.

    Raises:
        InvalidOptionError: no policy.
    """
    if policy not in FULL_POLICIES:
        raise InvalidOptionError('when_full must be "refuse" or "allow"')
    return policy == "allow"


def bucket_key(key: object) -> bytes:
    """The bytes that a bucket is found by.

    Raises:
        TypeError: neither str nor bytes.
        InvalidOptionError: a str that has no UTF-8 form.
    """
    if isinstance(key, bytes):
        return key
    if not isinstance(key, str):
        raise TypeError(f"key must be str or bytes, not {_type_name(key)}")
    try:
        return str.encode(key)
    except UnicodeEncodeError:
        raise InvalidOptionError("key is not valid Unicode") from None


def bucket_keys(keys: Iterable[object]) -> list[object]:
    """The keys of a batch.

    Raises:
        TypeError: not an iterable, or one key where several are meant.
    """
    if isinstance(keys, (str, bytes)):
        raise TypeError(f"keys must be an iterable of keys, not {_type_name(keys)}")
    return list(keys)


def allowance_places(places: Iterable[object], headers: object, bucket: type) -> list[Any]:
    """The buckets of an allowance, each with a key.

    Raises:
        TypeError: an argument of a wrong type.
        InvalidOptionError: none or too many, or not as many as the headers have policies.
    """
    pairs = list(places)
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], bucket)):
            raise TypeError("places must be pairs of a TokenBucket and a key")
        bucket_key(pair[1])
    if not 1 <= len(pairs) <= MOST_PLACES:
        raise InvalidOptionError(f"places must be between 1 and {MOST_PLACES}")
    if headers is not None:
        # Here, because most programs that import the library tell nobody about limits.
        from sigil_native._rate_headers import RateHeaders  # noqa: PLC0415

        if not isinstance(headers, RateHeaders):
            raise TypeError(f"headers must be RateHeaders, not {_type_name(headers)}")
        if len(headers.policies) != len(pairs):
            raise InvalidOptionError("headers must have a policy for each place")
    return pairs


def bucket_cost(cost: object) -> int:
    """What a request costs, in tokens.

    Raises:
        TypeError: not an int.
        InvalidOptionError: negative.
    """
    if not isinstance(cost, int) or isinstance(cost, bool):
        raise TypeError(f"cost must be int, not {_type_name(cost)}")
    if cost < 0:
        raise InvalidOptionError("cost must not be negative")
    return cost
