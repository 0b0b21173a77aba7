"""The catalogue of problems: complete, and fit to be read by strangers."""

from __future__ import annotations

import re

import pytest

from app.http.problem_catalogue import KINDS, Kind
from app.http.problems import ProblemError, problem_from
from core import errors as domain
from sigil_native import errors as library


@pytest.mark.parametrize(("code", "kind"), KINDS.items())
def test_every_kind_is_explained(code: str, kind: Kind) -> None:
    """Each kind has a code fit for a path, an error's status, a title, a cause and a remedy."""
    assert re.fullmatch("[a-z]+(_[a-z0-9]+)*", code)
    assert 400 <= kind.status < 600
    assert kind.title[0].isupper()
    assert not kind.title.endswith(".")
    for text in (kind.cause, kind.remedy):
        assert len(text) > 20
        assert text.endswith(".")
        assert text.count("`") % 2 == 0
        assert "\n" not in text


def test_titles_differ() -> None:
    """No two kinds look the same to a reader."""
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
    assert len({kind.cause for kind in KINDS.values()}) == len(KINDS)


OPERATORS_WORDS = "/var/lib/sigil: SELECT * FROM sigils WHERE key_id = 381487c2"

TELLING = [
    domain.StoreUnavailableError(OPERATORS_WORDS),
    domain.StoreOverloadedError(),
    domain.RecordNotFoundError(OPERATORS_WORDS),
    domain.RecordCorruptError(OPERATORS_WORDS, OPERATORS_WORDS),
    domain.RecordUnverifiableError(OPERATORS_WORDS, OPERATORS_WORDS),
    domain.InvalidCursorError(OPERATORS_WORDS),
    domain.PayloadMissingError(OPERATORS_WORDS),
    domain.KeysUnavailableError(OPERATORS_WORDS),
    domain.LimiterUnavailableError(OPERATORS_WORDS),
    library.NoActiveKeyError(OPERATORS_WORDS),
]


@pytest.mark.parametrize("error", TELLING, ids=lambda error: type(error).__name__)
def test_own_words_for_callers(error: Exception) -> None:
    """What an error says to the operator is not what callers get to see."""
    problem = problem_from(error)
    assert problem is not None
    shown = problem.document("id")
    assert not any(word in str(shown) for word in ("/var", "SELECT", "381487c2"))


def test_no_error_speaks_for_itself() -> None:
    """An error of the domain without words for callers is told by its kind alone, or is a defect."""

    class NewError(domain.DomainError):
        code = "internal"

    problem = problem_from(NewError(OPERATORS_WORDS))
    assert isinstance(problem, ProblemError)
    assert problem.detail == KINDS["internal"].title
    assert problem_from(ValueError(OPERATORS_WORDS)) is None
    assert problem_from(library.WeakSecretError(OPERATORS_WORDS)) is None
