"""The verdicts on the lines of a body, without an object for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property

from core.verdict import KeyAspect, Revocation, Verdict, finding_of, verdict_of
from sigil_native import VerifyRequests


class Verdicts:
    """The verdicts on those lines of a body that are judged.

    Attributes:
        requests: the lines.
        kinds: what the verdicts are, each once, without a sigil and a payload's digest.
        chosen: for each line the place of its verdict among them; -1 where it is refused.
    """

    def __init__(
        self, requests: VerifyRequests, states: Mapping[int, KeyAspect], revocations: Sequence[Revocation]
    ) -> None:
        """Put together what was found of all lines of requests, and what records say of them.

        Args:
            requests: the lines, all judged or refused.
            states: of the keys, by their ids.
            revocations: what the records say of each line.
        """
        findings, found = requests.findings(0, len(requests))
        pairs = list(zip(found, revocations, strict=True))
        distinct = [pair for pair in dict.fromkeys(pairs) if pair[0] >= 0]
        places = {pair: place for place, pair in enumerate(distinct)}
        verdicts = []
        for place, revocation in places:
            code, key_id = findings[place]
            state: KeyAspect = "unchecked" if key_id is None else states.get(key_id, "unknown")
            verdicts.append(verdict_of(finding_of(None, code, state), None, revocation))
        self.requests = requests
        self.kinds: Sequence[Verdict] = verdicts
        self.chosen: Sequence[int] = [places.get(pair, -1) for pair in pairs]

    @cached_property
    def counts(self) -> Mapping[Verdict, int]:
        """How many there are of each."""
        return {self.kinds[place]: count for place, count in Counter(self.chosen).items() if place >= 0}
