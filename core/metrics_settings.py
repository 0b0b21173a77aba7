"""The settings of the metrics' own listener."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from core.tenant_classes import read_tenant_classes

#: Where exporters of OpenTelemetry listen, too.
_PORT: Final = 9464


def _port(given: object) -> object:
    if given == "off" or (
        isinstance(given, str) and given.isascii() and given.isdigit() and int(given) < 65536
    ):
        return given if given == "off" else int(given)
    raise ValueError("must be a port, 0 for any free one, or off")


def _tenant_classes(path: Path) -> Path:
    read_tenant_classes(path)
    return path


#: 0 means any free one.
MetricsPort = Annotated[int | Literal["off"], BeforeValidator(_port)]


class MetricsSettings(BaseModel):
    """The part of the settings that says where metrics can be read."""

    metrics_host: str = Field(default="127.0.0.1", validation_alias="SIGIL_METRICS_HOST")
    metrics_port_setting: MetricsPort | None = Field(default=None, validation_alias="SIGIL_METRICS_PORT")

    tenant_classes: Annotated[Path, AfterValidator(_tenant_classes)] | None = Field(
        default=None, validation_alias="SIGIL_TENANT_CLASSES"
    )

    def metrics_port(self, *, development: bool) -> int | None:
        """Where metrics are served: 0 for any free port, None for nowhere.

        In development any free port by default, as several services may run on one machine.
        """
        if self.metrics_port_setting == "off":
            return None
        if self.metrics_port_setting is None:
            return 0 if development else _PORT
        return self.metrics_port_setting
