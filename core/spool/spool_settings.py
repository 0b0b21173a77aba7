"""The settings of the spool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field

from core.setting_types import place_of_file
from core.spool.bounds import Bounds

_OFF: Final = "off"
_ON: Final = "on"
_NAME: Final = "DNASTORE_SPOOL"


def _spool_place(place: str) -> str:
    """The path of a file, or ``on`` or ``off``."""
    return place if place in {_ON, _OFF} else place_of_file(place)


class SpoolSettings(BaseModel):
    """The part of the settings that says what becomes of writes while the DNAStore is away."""

    spool: Annotated[str, AfterValidator(_spool_place)] = Field(default=_OFF, validation_alias=_NAME)
    spool_max_bytes: int = Field(
        default=1 << 30, ge=1 << 20, le=1 << 50, validation_alias="DNASTORE_SPOOL_MAX_BYTES"
    )
    spool_max_age: int = Field(
        default=604_800, ge=1, le=366 * 86_400, validation_alias="DNASTORE_SPOOL_MAX_AGE"
    )

    def spool_file(self, data_dir: Path) -> Path | None:
        """Where the spool is; None where it is switched off."""
        if self.spool == _OFF:
            return None
        return data_dir / "spool.db" if self.spool == _ON else Path(self.spool)

    @property
    def spool_bounds(self) -> Bounds:
        """What the spool takes."""
        return Bounds(self.spool_max_bytes, self.spool_max_age * 1000)


def spool_contradictions(given: Mapping[str, str]) -> list[str]:
    """Mistakes that only several of the variables together make, found in their raw text."""
    names = [str(field.validation_alias) for field in SpoolSettings.model_fields.values()]
    if "DNASTORE_URL" not in given:
        needless = [name for name in names if name in given]
        return [f"{name}: DNASTORE_URL is not set, so there is no DNAStore" for name in needless]
    if given.get(_NAME, _OFF) == _OFF:
        return [f"{name}: DNASTORE_SPOOL is off" for name in names if name in given and name != _NAME]
    return []
