"""The verdicts on the lines of a body, without an object for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

from core.verdict import UNCHECKED, KeyAspect, Revocation, Verdict, finding_of, verdict_of
from sigil_native import VerifyRequests

#: The code of the error that says why a seal does not hold, or None; and how its key stands.
_Ground = tuple[str | None, KeyAspect]


class Revocations(NamedTuple):
    """What the records say of sigils.

    Attributes:
        known: by the sigil's id.
        others: of all others that were issued.
    """

    known: Mapping[str, Revocation]
    others: Revocation


class Verdicts:
    """The verdicts on those lines of a body that are judged.

    Attributes:
        requests: the lines.
        kinds: what the verdicts are, each once, without a sigil and a payload's digest.
        chosen: for each line the place of its verdict among them; -1 where it is refused.
    """

    def __init__(
        self,
        requests: VerifyRequests,
        issued: Sequence[str | None],
        states: Mapping[int, KeyAspect],
        revocations: Revocations,
    ) -> None:
        """Put together what was found of all lines of requests, and what records say of them.

        Args:
            requests: the lines, all judged or refused.
            issued: for each line the id of its sigil, if it was issued.
            states: of the keys, by their ids.
            revocations: of the sigils that were issued.
        """
        found, chosen = requests.findings(0, len(requests))
        grounds: list[_Ground] = [
            (code, "unchecked" if key_id is None else states.get(key_id, "unknown")) for code, key_id in found
        ]
        self.requests = requests
        self.kinds: Sequence[Verdict]
        self.chosen: Sequence[int]
        if revocations.known:
            self.kinds, self.chosen = _told_apart(grounds, chosen, issued, revocations)
        else:
            self.kinds = [_verdict(*ground, revocations.others) for ground in grounds]
            self.chosen = chosen

    @cached_property
    def counts(self) -> Mapping[Verdict, int]:
        """How many there are of each."""
        return {self.kinds[place]: count for place, count in Counter(self.chosen).items() if place >= 0}


@lru_cache(maxsize=1024)
def _verdict(code: str | None, state: KeyAspect, revocation: Revocation) -> Verdict:
    """Of what was found of a sigil, and what its record says, if it was issued."""
    finding = finding_of(None, code, state)
    return verdict_of(finding, None, revocation if finding.signature == "valid" else UNCHECKED)


def _told_apart(
    grounds: Sequence[_Ground],
    chosen: Sequence[int],
    issued: Sequence[str | None],
    revocations: Revocations,
) -> tuple[Sequence[Verdict], Sequence[int]]:
    """Kinds of verdicts, and those of the lines, where not all sigils stand alike."""
    known, others = revocations
    pairs = [
        (place, UNCHECKED if one is None else known.get(one, others))
        for place, one in zip(chosen, issued, strict=True)
    ]
    kinds = [pair for pair in dict.fromkeys(pairs) if pair[0] >= 0]
    places = {pair: place for place, pair in enumerate(kinds)}
    verdicts = [_verdict(*grounds[place], revocation) for place, revocation in kinds]
    return verdicts, [places.get(pair, -1) for pair in pairs]
