"""`archwright dashboard`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from archwright.cli.commands import Parser, print_json, print_line
from archwright.dashboard.folders import run_folders
from archwright.dashboard.hosts import LOOPBACK
from archwright.errors import ConfigError, MissingExtra
from archwright.graph import Graph, Node

PORT, EVERY = 8765, 3.0
AT_ONCE = 64  # connections


def dashboard(arguments: Sequence[str]) -> int:
    """Serve pages about runs until Ctrl-C."""
    parser = Parser(
        prog="archwright dashboard",
        description="Serve pages about the runs in a folder on this machine, with what is running now: a list that can "
        "be filtered, a page for each run, and runs compared. Nothing is written, and nothing is sent but these pages.",
    )
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs"), help="a folder of runs, or a run")
    parser.add_argument(
        "--host", default=LOOPBACK, help="address to answer at (default: this machine only); all: 0.0.0.0"
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: a free one")
    parser.add_argument("--every", type=float, default=EVERY, help=f"seconds between two looks (default {EVERY:g})")
    parser.add_argument("--optuna", action="store_true", help="copy the trials into Optuna, and serve its dashboard")
    parser.add_argument("--json", action="store_true", help="the address as one JSON object")
    given = parser.parse_args(arguments)
    if not given.runs.is_dir():
        raise ConfigError(f"{given.runs} is not a folder; name one with runs in it, or a run")
    if not 0 <= given.port <= 65535 or not given.every > 0:
        raise ConfigError(f"--port {given.port} --every {given.every:g}: a port is 0 to 65535, seconds are above zero")
    (_optuna if given.optuna else _pages)(given)
    return 0


def _pages(given: Any) -> None:
    try:
        import uvicorn

        from archwright.dashboard.app import application
    except ImportError:
        raise MissingExtra("the dashboard needs Starlette and uvicorn: pip install 'archwright[dashboard]'") from None
    app = application(given.runs, bound=given.host, every=given.every)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, limit_concurrency=AT_ONCE)
    with closing(_bound(given.host, given.port)) as listening:
        threading.Thread(target=_warm, daemon=True).start()
        _say(given, listening.getsockname()[1])
        uvicorn.Server(config).run(sockets=[listening])


def _warm() -> None:
    """Load what draws before the first page asks for it."""
    from archwright.pages.shown import drawing

    drawing([Graph("warm", (Node("node", "node"),), ())])


def _optuna(given: Any) -> None:
    from archwright.dashboard.optuna_mirror import Mirror, server

    mirror, ended = Mirror(), threading.Event()
    try:
        serving = server(mirror, given.host, given.port)
    except OSError as error:
        raise _taken(given.host, given.port, error) from None

    def follow() -> None:
        while not ended.wait(given.every):
            mirror.update(run_folders(given.runs))

    for problem in mirror.update(run_folders(given.runs)):
        print_line(f"left out: {problem}")
    threading.Thread(target=follow, daemon=True).start()
    with closing(serving.socket):
        _say(given, serving.server_port)
        try:
            serving.serve_forever()
        finally:
            ended.set()


def _bound(host: str, port: int) -> socket.socket:
    """Return a listening socket."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=AT_ONCE)  # who asks too early waits
    except OSError as error:
        raise _taken(host, port, error) from None


def _taken(host: str, port: int, error: OSError) -> ConfigError:
    return ConfigError(f"--host {host} --port {port}: {error.strerror or error}; --port 0 takes a free port")


def _say(given: Any, port: int) -> None:
    url = f"http://{given.host}:{port}/"
    if given.json:
        print_json({"url": url, "runs": str(given.runs)})
    else:
        print_line(f"{url}   runs in {given.runs}; Ctrl-C ends it")
