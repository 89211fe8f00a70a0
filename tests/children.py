"""Children that do what their architecture says, and evaluators that misbehave, for the tests of engines."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from archwright.evaluators.function import Function
from archwright.loop import Proposal, Result
from archwright.space import Architecture


def act(architecture: Architecture) -> float | Result:
    """Does what the architecture says."""
    what = architecture["do"]
    if what == "hang":
        time.sleep(60)
    elif what == "hang with a child":
        child = subprocess.Popen(["sleep", "60"])
        Path(str(architecture["file"])).write_text(str(child.pid))
        time.sleep(60)
    elif what == "exit with a child":
        subprocess.Popen(["sleep", "60"], close_fds=False)
        os._exit(5)
    elif what == "os._exit":
        os._exit(3)
    elif what == "sys.exit":
        sys.exit(4)
    elif what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "segfault":
        ctypes.string_at(0)
    elif what == "value error":
        raise ValueError("a wrong value")
    elif what == "allocate":
        return float(len(bytearray(int(500e6))))
    elif what == "threads":
        import torch

        return float(torch.get_num_threads())
    return Result(len(str(what)), {"pid": os.getpid()})


class Counting(Function):
    """Tells how often its class has been unpickled in this process."""

    loads = 0

    def __setstate__(self, state):
        self.__dict__ = state
        type(self).loads += 1

    def evaluate(self, proposal):
        return Result(1.0, {"loads": self.loads})


class Threaded(Function):
    def __setstate__(self, state):
        import torch

        self.__dict__ = state
        torch.set_num_threads(7)


class Unloadable(Function):
    def __setstate__(self, state):
        raise RuntimeError("made somewhere else")


def proposal(do: str, **answers: str) -> Proposal:
    return Proposal(0, Architecture("test", (), (("do", do), *answers.items())))


EVALUATOR = Function(act)
