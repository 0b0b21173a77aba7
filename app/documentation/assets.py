"""Files that browsers load: read once, at the start, and known by exact names."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from importlib.metadata import files
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from app.http.context import Context
from app.http.replies import Reply

#: This distribution carries the files of Swagger UI's own npm package, unchanged; no code of it is imported.
_SWAGGER_UI: Final = "mkdocs-swagger-ui-tag"
_STATIC: Final = Path(__file__).with_name("static")

HTML: Final = b"text/html; charset=utf-8"
_CSS: Final = b"text/css; charset=utf-8"
_JAVASCRIPT: Final = b"text/javascript; charset=utf-8"
_SVG: Final = b"image/svg+xml"
_IMAGES: Final = {"svg+xml": (_SVG, "svg"), "png": (b"image/png", "png"), "jpeg": (b"image/jpeg", "jpg")}

_DATA_URL: Final = re.compile(
    r"""url\((?P<quote>["']?)data:image/(?P<kind>[a-z+]+)[^,"]*?(?P<base64>;base64)?,(?P<data>(?:\\.|[^\\])*?)"""
    r"""(?P=quote)\)"""
)


class Asset(msgspec.Struct, frozen=True):
    """A file as it is served; browsers ask again each time, and are told when theirs is still good."""

    body: bytes
    media_type: bytes
    etag: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def reply(self, context: Context) -> Reply:
        """The file, or 304 where the caller has it."""
        headers = ((b"etag", self.etag), (b"cache-control", b"no-cache"), *self.headers)
        if self.etag in _known(context):
            return Reply(304, b"", headers, self.media_type)
        return Reply(200, self.body, headers, self.media_type)


def asset(body: bytes, media_type: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Asset:
    """An asset with the tag of its contents."""
    return Asset(body, media_type, b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode(), headers)


def load_assets() -> dict[str, Asset]:
    """All files, by name.

    Raises:
        PackageNotFoundError, OSError: the files of Swagger UI are not installed, or not whole.
    """
    style, images = lift_images(_swagger_ui("swagger-ui.css").decode())
    return {
        "swagger-ui.js": asset(_swagger_ui("swagger-ui-bundle.js"), _JAVASCRIPT),
        "swagger-ui.css": asset(style.encode(), _CSS),
        **images,
        "reference.js": _own("reference.js", _JAVASCRIPT),
        "reference.css": _own("reference.css", _CSS),
        "page.css": _own("page.css", _CSS),
        "icon.svg": _own("icon.svg", _SVG),
    }


def lift_images(style: str) -> tuple[str, dict[str, Asset]]:
    """A style sheet with its embedded images as files beside it, so that no policy need allow ``data:``."""
    images: dict[str, Asset] = {}

    def lift(found: re.Match[str]) -> str:
        media_type, suffix = _IMAGES[found["kind"]]
        text = re.sub(r"\\(.)", r"\1", found["data"])
        image = asset(b64decode(text) if found["base64"] else unquote_to_bytes(text), media_type)
        name = f"{image.etag[1:13].decode()}.{suffix}"
        images[name] = image
        return f"url({name})"

    return _DATA_URL.sub(lift, style), images


def _swagger_ui(name: str) -> bytes:
    for path in files(_SWAGGER_UI) or ():
        if path.name == name:
            return path.read_binary()
    raise FileNotFoundError(f"{name} is missing from the distribution {_SWAGGER_UI}")


def _own(name: str, media_type: bytes) -> Asset:
    return asset((_STATIC / name).read_bytes(), media_type)


def _known(context: Context) -> set[bytes]:
    """The tags of what the caller has, by a comparison for which weak tags do (RFC 9110, 13.1.2)."""
    values = [value for name, value in context.scope["headers"] if name == b"if-none-match"]
    return {tag.strip().removeprefix(b"W/") for value in values for tag in value.split(b",")}
