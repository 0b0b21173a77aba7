"""What keeps the service from starting, in words and as an exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from app.server.listening import PortTakenError
from core.errors import AuditUnavailableError, DomainError, LimiterUnavailableError
from core.limits.shared_folder import SharedFolderError
from core.private_files import PrivateFileError
from core.settings_loading import EXIT_CODE, SettingsError
from core.spool.opening import SpoolUnusableError
from sigil_native import SigilError

#: sysexits.h: EX_UNAVAILABLE. The port, the store or the audit log.
UNAVAILABLE: Final = 69


class StartFailedError(Exception):
    """The service cannot start. The message is for standard error, and shows no secret.

    Attributes:
        exit_code: of the process.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def settings_failure(error: SettingsError) -> StartFailedError:
    """The failure that settings which cannot work mean, a line for each mistake."""
    lines = ["the settings cannot work:", *(f"  {problem}" for problem in error.problems)]
    return StartFailedError("\n".join(lines), EXIT_CODE)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what is expected to go wrong at a start into a StartFailedError."""
    try:
        yield
    except SettingsError as error:
        raise settings_failure(error) from None
    except PrivateFileError as error:
        raise StartFailedError(str(error), EXIT_CODE) from None
    except SigilError as error:
        raise StartFailedError(f"the keys cannot be used: {error}", EXIT_CODE) from None
    except (PortTakenError, SpoolUnusableError) as error:
        raise StartFailedError(str(error), UNAVAILABLE) from None
    except AuditUnavailableError as error:
        cause = f": {error.__cause__}" if error.__cause__ else ""
        raise StartFailedError(f"SIGIL_AUDIT: {error}{cause}", UNAVAILABLE) from None
    except SharedFolderError as error:
        raise StartFailedError(f"SIGIL_RATE_FOLDER: {error}", UNAVAILABLE) from None
    except LimiterUnavailableError as error:
        raise StartFailedError(f"SIGIL_RATE_FOLDER: {error}: {error.__cause__}", UNAVAILABLE) from None
    except (DomainError, OSError) as error:
        raise StartFailedError(f"the store cannot be opened: {error}", UNAVAILABLE) from None
