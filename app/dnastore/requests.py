"""Bodies of requests, read into the types of the wire."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from app.http.problems import ProblemError

_T = TypeVar("_T")


def read_request(text: bytes, decoder: msgspec.json.Decoder[_T]) -> _T:
    """What a JSON text asks for.

    Read once, and not canonicalised as what the public sends: clients are few and known, and payloads are
    looked at one by one.

    Raises:
        ProblemError: it is no JSON, or does not have the decoder's form.
    """
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        raise ProblemError("invalid_request", detail, pointer=pointer) from None
    except UnicodeDecodeError:
        raise ProblemError("invalid_utf8", "the body must be UTF-8") from None
    except msgspec.DecodeError as error:
        raise ProblemError("syntax", str(error)) from None
    except RecursionError:
        raise ProblemError("nesting_too_deep", "objects and arrays stand in each other too deeply") from None
