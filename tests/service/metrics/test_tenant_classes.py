"""The file of tenant classes: what cannot be used is refused, and shows no name of a tenant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.tenant_classes import read_tenant_classes


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"gold":["acme"],"gold":[]}',
        '{"Gold":["acme"]}',
        '{"gold":[""]}',
        '{"gold":["acme"],"silver":["acme"]}',
        '{"gold\\n":["acme"]}',
        json.dumps({f"c{number}": [] for number in range(17)}),
        "{",
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    """Other forms, doubled members, names that labels should not have, tenants in two classes, too many."""
    path = tmp_path / "classes.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r".") as caught:
        read_tenant_classes(path)
    assert "acme" not in str(caught.value)


def test_classes_of_tenants(tmp_path: Path) -> None:
    """Each tenant has the class that names it."""
    path = tmp_path / "classes.json"
    path.write_text('{"gold":["acme","globex"],"silver":["initech"]}')
    assert read_tenant_classes(path) == {"acme": "gold", "globex": "gold", "initech": "silver"}
