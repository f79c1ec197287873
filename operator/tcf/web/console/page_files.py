"""The files of the page."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable

from aiohttp import web

from tcf.core.reasons import Reason
from tcf.web.envelope import answer, error
from tcf.web.server import Routes

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
SECURITY = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def page_routes() -> Routes:
    """The handlers, by path and method."""
    handle = _Pages().handle
    return {"/": {"GET": handle, "HEAD": handle}}


class _Pages:
    def __init__(self) -> None:
        self._files = dict(_read(files("tcf.web.console") / "assets"))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        name = request.path.removeprefix("/") or "index.html"
        found = self._files.get(name)
        if not found:
            known = ", ".join(sorted(self._files))
            return error(404, Reason.NOT_FOUND, f"the console has no file {name[:200]!r}; it has {known}")
        return answer(200, *found, SECURITY)


def _read(folder: Traversable) -> list[tuple[str, tuple[bytes, str]]]:
    """Name, content and type of each file of the page."""
    found = []
    for each in folder.iterdir():
        type_ = _TYPES.get(each.name.rpartition(".")[2])
        if each.is_dir():
            found += _read(each)
        elif type_:
            found.append((each.name, (each.read_bytes(), type_)))
    return found
