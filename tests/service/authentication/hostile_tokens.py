"""Tokens that must never let anybody in, each with the reason that the service must find."""

from __future__ import annotations

from tests.service.authentication.forge import Forge
from tests.service.authentication.hostile_claims import wrong_claims, wrong_times
from tests.service.authentication.hostile_forms import bearers, encodings, shapes, texts
from tests.service.authentication.hostile_kinds import Hostile
from tests.service.authentication.hostile_proofs import algorithms, keys, members, signatures


def hostile_requests(forge: Forge) -> dict[str, Hostile]:
    """Every kind, by its name."""
    kinds = {name: Hostile(reason, headers) for name, (reason, headers) in bearers(forge).items()}
    for family in (
        shapes,
        encodings,
        algorithms,
        members,
        keys,
        signatures,
        texts,
        wrong_claims,
        wrong_times,
    ):
        for name, (reason, token) in family(forge).items():
            assert name not in kinds
            raw = token.encode() if isinstance(token, str) else token
            kinds[name] = Hostile(reason, [b"Bearer " + raw])
    return kinds
