"""Traces, if the settings want any. OpenTelemetry is imported only then."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from core.settings_loading import SettingsError

if TYPE_CHECKING:
    from app.tracing.tracing import Tracing

_NEEDED: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter")
_INSTALL: Final = "pip install --group tracing"


def check_installed(setting: Literal["off", "otlp"], variable: str) -> None:
    """Return if what traces need is there, or nobody wants them.

    Raises:
        SettingsError: it is not.
    """
    if setting == "off":
        return
    try:
        found = all(importlib.util.find_spec(name) is not None for name in _NEEDED)
    except ModuleNotFoundError:  # a package above it
        found = False
    if not found:
        raise SettingsError([f"{variable}: OpenTelemetry is not installed; {_INSTALL}"])


@contextlib.contextmanager
def tracing_from(
    setting: Literal["off", "otlp"], variable: str, service_name: str
) -> Iterator[Tracing | None]:
    """What traces this process, until its end; None where nobody wants traces.

    In the process that serves: the thread that sends spans does not outlive a fork.

    Args:
        setting: what is wanted.
        variable: the setting's name.
        service_name: what the process is called unless OTEL_SERVICE_NAME says so.

    Raises:
        SettingsError: the variables of OpenTelemetry cannot work.
    """
    if setting == "off":
        yield None
        return
    from app.tracing.provider import provider  # noqa: PLC0415 - 200 ms, and not for everybody
    from app.tracing.tracing import Tracing  # noqa: PLC0415

    try:
        exporting = provider(service_name)
    except (ValueError, OSError):
        # Without its text: that may show a value, such as a key among headers.
        raise SettingsError([f"{variable}: a variable OTEL_… has a value that cannot work"]) from None
    try:
        yield Tracing(exporting.tracer)
    finally:
        exporting.close()
