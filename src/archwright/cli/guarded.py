"""What is the same for all commands: errors in one line, Ctrl-C, exit codes, and what other libraries say."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from archwright import errors
from archwright.errors import ArchwrightError

INTERRUPTED = 130


def guarded(work: Callable[[], int], *, debug: bool = False) -> int:
    """Do the work of a command and return its exit code: 2 for an error, in one line; `debug` raises it.

    Standard output is written to its end in here, where a full disk is such an error.
    """
    try:
        try:
            return work()
        finally:
            if sys.stdout is not None:  # it may be closed
                sys.stdout.flush()
    except KeyboardInterrupt as stop:
        if debug:
            raise
        complain(" in ".join(filter(None, ("stopped", _place(stop)))))
        return INTERRUPTED
    except SystemExit as end:  # `--help` and wrong flags end the program, and so may code of the user's
        if debug or (place := _place(end)) is None:
            raise
        complain(f"{place}: SystemExit: {end}")
        return 2
    except BrokenPipeError:  # `archwright list | head`
        return 0
    except Exception as error:
        if debug:
            raise
        complain(in_words(error))
        return 2
    finally:
        _drop_unwritable()


def in_words(error: Exception) -> str:
    """Return an error in one line, whoever raised it."""
    if isinstance(error, ArchwrightError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"memory is short{f' ({error})' if str(error) else ''}; less data, or smaller images, need less"
    if isinstance(error, OSError) and error.strerror:
        named = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
        return ": ".join([*named[:1], error.strerror])
    return f"{type(error).__name__}: {error} ({_place(error) or '--debug shows where it comes from'})"


def _place(error: BaseException) -> str | None:
    """Return where in the user's own code an error was raised, if there."""
    from archwright.userfiles import place_of

    return place_of(error)


def complain(text: str) -> None:
    """Print one line on standard error."""
    from archwright.report.escape import for_terminal

    with suppress(OSError):
        print(for_terminal(f"archwright: {' '.join(text.split())}"), file=sys.stderr)


def _drop_unwritable() -> None:
    """Drop what cannot be written to standard output: the interpreter would try it again when it ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):  # no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def settle_streams() -> None:
    """Set this process up as a program: any text can be printed, and other libraries say nothing of their own.

    What a terminal's encoding lacks is printed as an escape. PYTHONWARNINGS or `python -W` brings warnings back.
    """
    import logging
    import warnings

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        for kind in vars(errors).values():
            if isinstance(kind, type) and issubclass(kind, Warning):
                warnings.simplefilter("always", kind)
        os.environ["PYTHONWARNINGS"] = "ignore"  # of workers
    logging.getLogger().addHandler(logging.NullHandler())  # otherwise warnings of all loggers go to standard error
