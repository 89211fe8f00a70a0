"""What can be done about code of the user's that hangs in the command's process: say where, and let Ctrl-C end it.

Networks that children are trained with can have processes of their own (`--time-limit`, `--workers`). A space's
`decide()`, a controller, and what the file itself does when it is loaded cannot.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from archwright.cli.guarded import INTERRUPTED, complain
from archwright.userfiles import place_in

LOOK, PATIENCE = 1.0, 30.0  # seconds between two looks, and without progress until something is said
TWICE = 0.5  # seconds after which another Ctrl-C is a second one
SHOW_CURSOR = "\x1b[?25h"
ADVICE = "Ctrl-C stops it; networks that may hang need --evaluator from-scratch --time-limit SECONDS"

_progress = time.monotonic()


def progressed() -> None:
    """Take note that the command has shown something."""
    global _progress
    _progress = time.monotonic()


@contextmanager
def watched() -> Iterator[None]:
    """Watch this thread: say in one line where it is if it stays in the user's files without progress."""
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(threading.get_ident(), ended), daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _watch(thread: int, ended: threading.Event) -> None:
    since, said = time.monotonic(), False  # the last look at which it was elsewhere, or had progressed
    while not ended.wait(LOOK):
        place = place_in(sys._current_frames().get(thread))
        if place is None or _progress > since:
            since, said = time.monotonic(), False
        elif not said and (seconds := time.monotonic() - since) >= PATIENCE:
            said = True
            complain(f"{place}: no progress for {seconds:.0f} s. {ADVICE}")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a second Ctrl-C end the process at once: code of the user's, or of a library, may swallow the first.

    Nothing is lost by it, since a run that is killed can be resumed. Where Ctrl-C is the business of a caller in
    Python, it stays so.
    """
    first = 0.0

    def stop(*_: object) -> None:
        nonlocal first
        if not first:
            first = time.monotonic()
            raise KeyboardInterrupt
        if time.monotonic() - first > TWICE:
            if sys.stderr.isatty():
                sys.stderr.write(SHOW_CURSOR)  # a live view hides it
            complain("stopped at once")
            os._exit(INTERRUPTED)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
