"""Every problem that the service, or a DNAStore, answers with: the one place that says what each code means.

The answers, the OpenAPI description, the pages under ``/docs/problems`` and the documentation's site are
all made from it. To add a problem, add it here, with a cause and a remedy that a caller can act on; they
are public, so they name nothing that would help an attacker. Standard library only, for the site's sake.
"""

from __future__ import annotations

from typing import Final, NamedTuple

#: Where the page of each problem is, and with the code behind it the problem's ``type``.
PROBLEM_PAGES: Final = "/docs/problems"


class Kind(NamedTuple):
    """What all problems of one code have in common.

    Attributes:
        status: of the answer.
        title: what is wrong, in a few words.
        cause: when this happens, for the caller's developer.
        remedy: what to do about it.
    """

    status: int
    title: str
    cause: str
    remedy: str


_SAME_AGAIN: Final = "Send the same request again after the seconds that `Retry-After` names."

#: What the text of a body can have wrong; the codes are the library's.
_BODIES: Final = {
    "syntax": Kind(
        400,
        "The body is not JSON",
        "The body breaks the grammar of RFC 8259: a missing quote, a comma too many, no body at all.",
        "Look at `offset`: it counts the bytes up to the mistake. Let a JSON library write the body.",
    ),
    "trailing_data": Kind(
        400,
        "Something follows the JSON value",
        "The body goes on after a complete JSON value, for example with a second one.",
        "Send one JSON value, and at most white space after it.",
    ),
    "invalid_utf8": Kind(
        400,
        "The body is not UTF-8",
        "Some bytes of the body are no UTF-8. Often the text was written in UTF-16 or ISO 8859-1.",
        "Encode the body as UTF-8. Binary data goes into a string, in Base64 for example.",
    ),
    "byte_order_mark": Kind(
        400,
        "The body begins with a byte order mark",
        "The body's first bytes are `EF BB BF`. Some editors write them in front of UTF-8.",
        "Send the body without them.",
    ),
    "lone_surrogate": Kind(
        422,
        "A string holds half of a surrogate pair",
        "A `\\uD800` to `\\uDFFF` escape stands without its other half. That is no character, and readers of "
        "JSON disagree about it, so it cannot be sealed. A text that was cut by UTF-16 units ends this way.",
        "Write both halves, or leave the half out. `pointer` names the string.",
    ),
    "duplicate_name": Kind(
        422,
        "An object has two members of one name",
        "Two members of one object have the same name once escapes are read. Some readers would take the "
        "first, others the last, so a seal over both would mean two things.",
        "Send each name once. `pointer` names the member.",
    ),
    "non_finite_number": Kind(
        422,
        "A number is too large",
        "A number is beyond what a double-precision number holds, about 1.8 × 10³⁰⁸.",
        "Send a smaller number, or send it as a string.",
    ),
    "integer_range": Kind(
        422,
        "An integer is outside the safe range",
        "An integer is beyond ±(2⁵³ − 1). Readers that keep numbers as doubles would silently change it.",
        "Send large integers, such as 64-bit ids, as strings.",
    ),
    "nesting_too_deep": Kind(
        422,
        "The body is nested too deeply",
        "Objects and arrays stand in each other more than 512 levels deep.",
        "Send a flatter payload.",
    ),
}

#: What a request can have wrong.
_REQUESTS: Final = {
    "invalid_query": Kind(
        400,
        "The query does not have the expected form",
        "A parameter behind the `?` is unknown, given twice, or has a value that is not allowed.",
        "`detail` says what is allowed. Percent-encode the values.",
    ),
    "invalid_cursor": Kind(
        400,
        "The cursor is not valid",
        "The `cursor` is none that a listing has given out, or was cut.",
        "Take `next_cursor` of the answer before as it is, or begin again without a cursor.",
    ),
    "invalid_idempotency_key": Kind(
        400,
        "The idempotency key is not valid",
        "`Idempotency-Key` is empty, too long, given twice, or has characters that are not allowed.",
        "Send one key of visible ASCII characters, best in quotes; a random UUID does well.",
    ),
    "idempotency_key_refused": Kind(
        400,
        "This call takes no idempotency key",
        "The request has an `Idempotency-Key`, which holds for one record, and asks for several. Nothing was "
        "done.",
        "Leave the header out. To be able to send payloads again, seal them one by one, each with a key.",
    ),
    "unauthenticated": Kind(
        401,
        "A valid bearer token is required",
        "There is no token, or it does not prove who calls: it has expired, or was not issued for this "
        "service, or its signature does not hold. Only the service's operator gets to know which.",
        "Fetch a new token from your issuer and send it as `Authorization: Bearer <token>`. If a new one is "
        "refused too, give the operator the `request_id`.",
    ),
    "forbidden": Kind(
        403,
        "The token does not allow this",
        "The token is genuine, but names no tenant, several, or one that its issuer does not speak for, or "
        "it lacks the role that the call needs. A missing role is named in `WWW-Authenticate`.",
        "Ask whoever issues your tokens for the role, or the tenant claim. Sending it again changes nothing.",
    ),
    "client_forbidden": Kind(
        403,
        "The client is not allowed",
        "The client's certificate is genuine, but none of its names is in the allow-list of the DNAStore, or "
        "not any more.",
        "Ask the operator of the DNAStore to add the name. Sending it again changes nothing.",
    ),
    "tenant_forbidden": Kind(
        403,
        "The client may not touch this tenant",
        "The allow-list of the DNAStore has the client, but not with the tenant that the request is about.",
        "Ask the operator of the DNAStore to add the tenant. Sending it again changes nothing.",
    ),
    "not_found": Kind(
        404,
        "There is nothing here",
        "The path does not exist, or your tenant has no record with this id. Records of other tenants do not "
        "exist for you.",
        "Check the path and the id, and that the token is for the tenant who sealed the record.",
    ),
    "method_not_allowed": Kind(
        405,
        "The method is not allowed here",
        "The path exists, but not for this method.",
        "Use one of the methods that the header `Allow` lists.",
    ),
    "body_timeout": Kind(
        408,
        "The body did not arrive in time",
        "The body was not complete when its time was over. The connection is closed.",
        "Send it again, on a new connection. If it happens often, look at the network, or send less.",
    ),
    "body_too_large": Kind(
        413,
        "The body is too large",
        "The body has more bytes than this service takes. `detail` says how many it takes.",
        "Send a smaller payload. For something large, seal its digest instead.",
    ),
    "too_many_lines": Kind(
        413,
        "The batch has too many lines",
        "The body has more lines than a batch may have. `detail` says how many these are. Nothing was done.",
        "Send the lines in several batches.",
    ),
    "unsupported_media_type": Kind(
        415,
        "The body has another media type than it must have",
        "`Content-Type` is missing or names something else than `detail` says, or `Content-Encoding` says "
        "that the body is compressed.",
        "Send `Content-Type: application/json`, or for a batch `application/x-ndjson`, and an uncompressed "
        "body in UTF-8.",
    ),
    "invalid_request": Kind(
        422,
        "The request does not have the expected form",
        "The body is good JSON, but a member is missing, unknown, or has another type or value than it may.",
        "`pointer` names the member and `detail` says what was expected. The API reference has the form.",
    ),
    "empty_batch": Kind(
        422,
        "The batch is empty",
        "The body has no line, or nothing but blank ones.",
        "Send a JSON object in each line.",
    ),
    "idempotency_key_reused": Kind(
        422,
        "The idempotency key was used for another request",
        "An earlier request of yours had the same `Idempotency-Key` and another body, so this one was not "
        "carried out.",
        "Make a new key for each new request, and use a key again only to repeat the same request.",
    ),
    "data_missing": Kind(
        422,
        "The payload is missing",
        "A sigil in its text or strand form does not carry its payload, and the request has no `data`.",
        "Send the payload as `data`, or verify a token, which carries it.",
    ),
    "rate_limited": Kind(
        429,
        "Too many requests",
        "You, all users of your tenant together, or, without a good token, all who share your address, have "
        "used up a limit. `detail` says whose, and `RateLimit` how each limit stands. Nothing was done.",
        "Wait for the seconds that `Retry-After` names, then send it again. Spread your requests: what you "
        "may send comes back bit by bit, not all at once. Without `Retry-After` it asks for more than the "
        "limit ever allows: send less at once. If the limit does not fit, ask the operator for another.",
    ),
}

#: What the service can have wrong.
_SERVICE: Final = {
    "record_corrupt": Kind(
        500,
        "A stored record does not verify",
        "The record is there, but is no longer what was sealed, so it is withheld.",
        "Tell the operator, with the `request_id`. Sending it again changes nothing.",
    ),
    "record_unverifiable": Kind(
        500,
        "A stored record cannot be verified",
        "The service no longer has a key that may verify the record, so it is withheld.",
        "Tell the operator, with the `request_id`. The record is served again when the key is back.",
    ),
    "internal": Kind(
        500,
        "The service failed",
        "The service has a defect. A record may or may not have been kept.",
        "Tell the operator, with the `request_id`: the log has the cause under it.",
    ),
    "store_unavailable": Kind(
        503,
        "The store is unavailable",
        "The store cannot do this at the moment. What was not acknowledged may or may not have been kept.",
        _SAME_AGAIN,
    ),
    "store_overloaded": Kind(
        503,
        "The store is overloaded",
        "More writes wait than the store takes. Nothing was kept.",
        f"{_SAME_AGAIN} Wait longer each time.",
    ),
    "audit_unavailable": Kind(
        503,
        "The audit log is unavailable",
        "Nothing is acknowledged without its line in the audit log, which cannot be written in time. What "
        "was asked for may or may not have been done.",
        f"{_SAME_AGAIN} To seal once only, send an `Idempotency-Key`.",
    ),
    "keys_unavailable": Kind(
        503,
        "The keys that tokens are checked with are unavailable",
        "The issuer's keys cannot be had at the moment, so nobody can tell whether a token is genuine.",
        _SAME_AGAIN,
    ),
    "limiter_unavailable": Kind(
        503,
        "Rate limits cannot be checked now",
        "Whoever counts requests for all of the service does not answer, and calls like this one are not let "
        "through uncounted. Nothing was done.",
        _SAME_AGAIN,
    ),
    "no_active_key": Kind(
        503,
        "No key may sign now",
        "The service has keys to verify with, but none that may sign at this time.",
        f"Verifications go on. {_SAME_AGAIN} If it lasts, tell the operator.",
    ),
    "not_ready": Kind(
        503,
        "The service is not ready",
        "An encode would not work now: the store takes no writes, or no key may sign, or tokens or rate "
        "limits cannot be checked, or the audit log cannot be written; or it is stopping. `detail` names it.",
        "Send requests to another instance until `/readyz` answers 200.",
    ),
    "overloaded": Kind(
        503,
        "Too many requests are in progress",
        "The service works on as many requests at once as it is allowed to. This one was not looked at.",
        f"{_SAME_AGAIN} Wait longer each time.",
    ),
    "timeout": Kind(
        503,
        "The request took too long",
        "The request was not done within the time that the service gives it. What was asked for may or may "
        "not have been done.",
        f"{_SAME_AGAIN} To seal once only, send an `Idempotency-Key`.",
    ),
}

#: Every problem, by its code.
KINDS: Final[dict[str, Kind]] = {**_BODIES, **_REQUESTS, **_SERVICE}


def problem_type(code: str) -> str:
    """The ``type`` of problems with this code: where their page is.

    Relative, as the service does not know the names that it is reached by, and with its full path, as
    RFC 9457 section 3.1.1 asks of relative references.
    """
    return f"{PROBLEM_PAGES}/{code}"
