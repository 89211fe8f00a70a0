"""The commands, and what is the same for all of them: errors in one line, Ctrl-C, exit codes."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from archwright.errors import ArchwrightError

MODULES = {
    "search": "archwright.cli.searching",
    "resume": "archwright.cli.searching",
    "finish": "archwright.cli.searching",
    "train": "archwright.cli.training",
    "rank": "archwright.cli.ranking",
    "transfer": "archwright.cli.transferring",
    "compare": "archwright.cli.comparing",
    "show": "archwright.cli.showing",
    "export": "archwright.cli.showing",
    "predict": "archwright.cli.showing",
    "bench": "archwright.cli.benching",
    "list": "archwright.cli.listing",
    "spaces": "archwright.cli.listing",
    "check": "archwright.cli.listing",
}


def dispatch(command: str, arguments: Sequence[str], *, debug: bool = False) -> int:
    """Run one command and return the exit code."""
    run: Callable[[Sequence[str]], int] = getattr(
        importlib.import_module(MODULES[command]), command.replace("list", "list_")
    )
    try:
        return run(arguments)
    except ArchwrightError as error:
        if debug:
            raise
        print(f"archwright: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        print("archwright: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `archwright list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def print_json(value: Any) -> None:
    """One object on one line of standard output."""
    print(json.dumps(value), flush=True)
