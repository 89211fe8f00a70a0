"""The dashboard of a folder, served for a test, and a way to ask it."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(root: Path, *, bound: str = "127.0.0.1", every: float = 0.2) -> Iterator[int]:
    """The dashboard of a folder; its port."""
    import uvicorn

    from archwright.dashboard.app import application

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application(root, bound=bound, every=every), log_level="error", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()


def ask(port: int, path: str, *, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, headers={"Host": f"127.0.0.1:{port}", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()
