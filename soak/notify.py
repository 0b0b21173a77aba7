"""A message to a Slack-compatible webhook when the verdict is another than the last one.

The webhook's URL is a secret: whoever has it can write to the channel. It is never shown, also not in errors.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import aiohttp
import msgspec

from core.setting_types import secret_from_file
from soak.results import Check, Summary

URL: Final = "SOAK_WEBHOOK_URL"
URL_FILE: Final = "SOAK_WEBHOOK_URL_FILE"

#: For one attempt, from its first byte to the head of its answer.
_PATIENCE: Final = aiohttp.ClientTimeout(total=5)
#: Seconds before each further attempt.
PAUSES: Final = (1.0, 3.0)
_MOST_CHECKS: Final = 8
_LONGEST_SAYS: Final = 200
_ICONS: Final = {"pass": ":white_check_mark:", "fail": ":x:", "inconclusive": ":grey_question:"}


class NotificationError(Exception):
    """The message was not taken; the text names no part of the URL."""


class State(msgspec.Struct):
    """What the last verdict was, for the next run to compare with."""

    verdict: Literal["pass", "fail", "inconclusive"]


def webhook_url(environ: Mapping[str, str] = os.environ) -> str | None:
    """The URL that the environment names; None if it names none.

    Raises:
        NotificationError: it names two, a file that cannot be used, or no http or https URL.
    """
    url, path = environ.get(URL), environ.get(URL_FILE)
    name = URL_FILE if path else URL
    if url and path:
        raise NotificationError(f"{URL} and {URL_FILE} are both set; set one of them")
    if path:
        try:
            url = secret_from_file(Path(path))
        except ValueError as error:
            raise NotificationError(f"{URL_FILE}: {error}") from None
    if not url:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or any(character <= " " for character in url):
        raise NotificationError(f"{name}: no http or https URL")
    return url


def is_news(summary: Summary, state_file: Path | None) -> bool:
    """Whether the verdict is another than the last one. The first counts unless it is pass."""
    last = None
    if state_file is not None and state_file.exists():
        try:
            last = msgspec.json.decode(state_file.read_bytes(), type=State).verdict
        except (OSError, msgspec.MsgspecError):
            last = None
    return summary.verdict != (last or "pass")


def remember(summary: Summary, state_file: Path) -> None:
    """Keep the verdict for the next run."""
    whole = state_file.with_name(state_file.name + ".new")
    whole.write_bytes(msgspec.json.encode(State(summary.verdict)) + b"\n")
    whole.replace(state_file)


def message(summary: Summary, link: str | None = None) -> dict[str, object]:
    """What is sent: ``text`` for notifications, ``blocks`` for the channel, as Slack's API has them."""
    run = summary.run
    hours = ((run.ended_at or run.started_at + run.seconds) - run.started_at) / 3600
    title = f"Soak: {summary.verdict}"
    lines = [f"{_ICONS[summary.verdict]} *{title}*", f"{hours:.2g} hours, revision {_plain(run.revision)}"]
    amiss = [check for check in summary.checks if check.outcome == "fail"]
    amiss += [check for check in summary.checks if check.outcome == "inconclusive"]
    lines += [_line(check) for check in amiss[:_MOST_CHECKS]]
    if len(amiss) > _MOST_CHECKS:
        lines.append(f"and {len(amiss) - _MOST_CHECKS} more")
    if link:
        lines.append(f"<{_plain(link)}|report>")
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)}}]
    names = ", ".join(check.name for check in amiss[:_MOST_CHECKS])
    return {"text": _plain(f"{title}: {names}" if names else title), "blocks": blocks}


def _line(check: Check) -> str:
    return f"• {check.outcome}: `{_plain(check.name)}` {_plain(check.says[:_LONGEST_SAYS])}"


def _plain(text: str) -> str:
    """Text without Slack's markup: nothing in it is a link, or calls anybody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("`", "'")


async def send(url: str, body: Mapping[str, object], *, pauses: Sequence[float] | None = None) -> None:
    """Post a message; try again, a few times, what another attempt may mend.

    Args:
        url: of the webhook.
        body: see ``message``.
        pauses: seconds before each further attempt; ``PAUSES`` if None.

    Raises:
        NotificationError: it was not taken.
    """
    # A proxy of the environment is used. What redirects is no webhook, and gets no message elsewhere.
    async with aiohttp.ClientSession(timeout=_PATIENCE, trust_env=True) as session:
        for pause in (*(PAUSES if pauses is None else pauses), None):
            why, again = await _attempt(session, url, msgspec.json.encode(body))
            if why is None:
                return
            if pause is None or not again:
                raise NotificationError(why)
            await asyncio.sleep(pause)


async def _attempt(session: aiohttp.ClientSession, url: str, body: bytes) -> tuple[str | None, bool]:
    """One attempt: what went wrong, if anything, and whether another may mend it."""
    headers = {"Content-Type": "application/json"}
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
            if 200 <= answer.status < 300:
                return None, False
            return f"the webhook answered {answer.status}", answer.status == 429 or answer.status >= 500
    except TimeoutError:
        return "the webhook does not answer", True
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"the webhook cannot be reached: {type(error).__name__}", True
