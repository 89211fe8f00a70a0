"""A process that has imported what commands need and forks one for each: importing takes seconds, forking none.

What runs is the real command in a process of its own; only its imports are done. `command.done` talks to it.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from typing import NoReturn

LOADED = (
    *("torch", "torch.utils.data", "safetensors.torch", "sklearn.datasets", "pyarrow.parquet", "PIL.Image"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    *("rich.progress", "jsonargparse", "torch._dynamo"),  # the last by the first optimizer
)


def serve(connection: socket.socket) -> dict[str, object] | None:
    """Fork a process for each request and report how it ends; returns the request in the forked process."""
    running: dict[int, tuple[int, socket.socket | int]] = {}  # by pidfd: pid, where its end is reported
    while True:
        ready, _, _ = select.select([connection, *running], [], [])
        for pidfd in [one for one in ready if one is not connection]:
            pid, report = running.pop(pidfd)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.write(report, f"{code}\n".encode())
            os.close(report)
            os.close(pidfd)
        if connection not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 3)
        if not message:
            return None
        out, err, report = descriptors
        if (pid := os.fork()) == 0:
            for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
                os.dup2(source, target)
                os.close(source)
            for one in [connection.detach(), report, *running, *(report for _, report in running.values())]:
                os.close(one)
            return json.loads(message)
        os.write(report, f"{pid}\n".encode())
        running[os.pidfd_open(pid)] = pid, report
        os.close(out)
        os.close(err)


def become(request: dict[str, object]) -> NoReturn:
    """Run the command of a request as `python -m archwright` does."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, closefd=False, errors=errors)
        for number, mode, errors in ((0, "r", None), (1, "w", None), (2, "w", "backslashreplace"))
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    sys.path[0] = request["cwd"]
    sys.argv = ["archwright", *request["words"]]
    code: object = 0
    try:
        runpy.run_module("archwright", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    # As the interpreter ends, but for taking everything imported apart, which takes a second of processor time.
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    from archwright.cli.commands import MODULES

    for name in (*LOADED, *sorted(set(MODULES.values()))):
        importlib.import_module(name)
    if (found := serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        sys.argv[1:] = []
        become(found)
