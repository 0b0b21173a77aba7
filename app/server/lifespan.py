"""The application's lifespan in a server that may be hurried."""

from __future__ import annotations

from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage


class Lifespan(LifespanOn):
    """uvicorn's, which ends in silence where the server ends without waiting for it.

    It is cancelled then, for which Starlette would have a traceback logged. The server has said what it does.

    Attributes:
        is_cut_off: whether the server waits no longer.
    """

    is_cut_off = False

    async def send(self, message: LifespanSendMessage) -> None:
        """Take what the application says of its start and its end."""
        if self.is_cut_off and message["type"] == "lifespan.shutdown.failed":
            message["message"] = ""  # else its traceback
        await super().send(message)
