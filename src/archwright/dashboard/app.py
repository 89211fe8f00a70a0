"""The dashboard as a Starlette application: a list of runs, a page for each, and a page that compares some.

It has no state: every answer is read from the run folders. It sends no file of theirs, only pages made from what is
recorded, in which everything is text.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from archwright.dashboard.folders import run_folders
from archwright.dashboard.hosts import allowed
from archwright.errors import ArchwrightError
from archwright.pages.record import read, row
from archwright.pages.report import comparison, page, view
from archwright.stored import reading

MOST_ROWS, MOST_COMPARED = 500, 12
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}
WATCHED = ("run.sqlite", "run.sqlite-wal", "lock")  # of a run, what changes with it
_drawing = threading.BoundedSemaphore(2)  # pages at a time: a page of many trials takes memory while it is made


@dataclass(frozen=True)
class Live:
    """What the template of a live page is told: seconds between two looks."""

    every: float

    def address(self, name: str) -> str:
        """Return what a run is called in an address: its name if that is plain, otherwise a digest of it."""
        return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) else _digest(name)


class Guard:
    """Answers nobody who does not name this machine, and adds the headers that keep pages text."""

    def __init__(self, app: ASGIApp, bound: str) -> None:
        self._app, self._bound = app, bound

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not allowed(hosts[0], self._bound):
            words = "this server answers to the name of its own machine only\n"
            await PlainTextResponse(words, status_code=421)(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        await self._app(scope, receive, guarded)


def application(root: Path, *, bound: str, every: float = 3.0) -> Starlette:
    """Return the application for the runs below `root`, or the one run that it is."""
    live = Live(every)

    def runs() -> dict[str, Path]:
        """Return the run folders by what they are called in addresses."""
        return {live.address(folder.resolve().name): folder for folder in run_folders(root)}

    def answered(request: Request, version: str, template: str, values: Any) -> Response:
        """Return a page, or that it is as it was at the asker's last look."""
        tag = f'"{version}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        with _drawing:
            return HTMLResponse(encoded(page(template, live=live, **values())), headers={"etag": tag})

    def listed(request: Request) -> Response:
        words, found = request.query_params.get("q", "").lower().split(), runs()
        states = {name: version(folder) for name, folder in found.items()}

        def values() -> dict[str, Any]:
            rows = [
                (name, folder.resolve().name, known_row(str(folder), states[name])) for name, folder in found.items()
            ]
            kept = [
                each for each in rows if all(word in " ".join(map(str, each[2].values())).lower() for word in words)
            ]
            kept.sort(key=lambda each: str(each[2]["begun"]), reverse=True)
            kept.sort(key=lambda each: each[2]["kind"] != "running")
            return {
                "title": f"runs in {root}",
                "rows": kept[:MOST_ROWS],
                "count": len(kept),
                "all": len(rows),
                "asked": request.query_params.get("q", ""),
            }

        return answered(request, _digest(*states, *states.values(), *words), "runs.html", values)

    def one(request: Request) -> Response:
        folder = runs().get(request.path_params["name"])
        return missing() if folder is None else answered(request, version(folder), "run.html", lambda: shown(folder))

    def alone(request: Request) -> Response:
        folder = runs().get(request.path_params["name"])
        if folder is None:
            return missing()
        with _drawing:
            return HTMLResponse(encoded(page("run.html", **shown(folder))))

    def compared(request: Request) -> Response:
        found = runs()
        chosen = [found[name] for name in dict.fromkeys(request.query_params.getlist("run")) if name in found]
        if not chosen:
            return missing("choose runs in the list")
        chosen = chosen[:MOST_COMPARED]
        state = _digest(*map(str, chosen), *map(version, chosen))
        return answered(request, state, "compare.html", lambda: comparison([read(folder) for folder in chosen]))

    def script(_: Request) -> Response:
        text = (resources.files("archwright.pages") / "templates" / "refresh.js").read_text(encoding="utf-8")
        return Response(text, media_type="text/javascript")

    routes = [
        Route("/", listed),
        Route("/run/{name}", one),
        Route("/run/{name}/report.html", alone),
        Route("/compare", compared),
        Route("/refresh.js", script),
    ]
    return Starlette(
        routes=routes, middleware=[Middleware(Guard, bound=bound)], exception_handlers={ArchwrightError: _unreadable}
    )


def shown(folder: Path) -> Mapping[str, Any]:
    """Return what the page of a run shows."""
    with reading(folder):
        return view(read(folder))


def version(folder: Path) -> str:
    """Return what changes when a run does."""
    found = []
    for name in WATCHED:
        try:
            status = (folder / name).lstat()
            found += [status.st_mtime_ns, status.st_size]
        except OSError:
            found.append(0)
    return _digest(*found)


@lru_cache(maxsize=1024)
def known_row(folder: str, state: str) -> dict[str, Any]:
    """Return the line of a run in the list; `state` is its version, so it is read again when it has changed."""
    return row(Path(folder))


def encoded(text: str) -> bytes:
    """Return a page as bytes, whatever the names in it hold."""
    return text.encode("utf-8", "backslashreplace")


def missing(words: str = "there is no such run") -> Response:
    """Return the answer to who asks for what is not there."""
    return PlainTextResponse(f"{words}\n", status_code=404)


def _unreadable(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n".encode("utf-8", "backslashreplace").decode(), status_code=500)


def _digest(*values: Any) -> str:
    return hashlib.sha256(repr(values).encode("utf-8", "backslashreplace")).hexdigest()[:20]
