"""The command `archwright`: finds the subcommand and loads only what it needs, so that --help is instant."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from archwright.errors import ConfigError

COMMANDS = {
    "search": "find a network for a data set, train it and test it",
    "resume": "go on with a run that was stopped or killed, to the same end",
    "finish": "derive and train from what an interrupted search has so far",
    "train": "train any stored architecture, at any width or repeats, on any data",
    "rank": "say whether a run's shared weights rank architectures as training from scratch does",
    "transfer": "build what a run found at another size and train it on other data",
    "compare": "plot accuracy against size of runs; --baseline trains what they are compared with",
    "report": "write a run, finished or not, as one page (HTML); several runs are compared",
    "dashboard": "serve pages about runs, finished and running, on this machine",
    "watch": "show how far a run of another process is, until it ends",
    "show": "draw an architecture and count its parameters and multiply-adds",
    "export": "write a model as plain PyTorch source, torch.export or ONNX",
    "predict": "classify images with a run's model",
    "bench": "compare search strategies on a benchmark's table, or on real training",
    "list": "list the runs in a folder",
    "spaces": "list the spaces, objectives and operations, or show the fields of a space",
    "controllers": "list the controllers, or show the arguments of one",
    "check": "say what is understood of a data set",
    "cook": "find combinations of ingredients with a cooking method",
}

HELP = """usage: archwright [--version] [--debug] COMMAND ...

Finds neural network architectures: a controller trained by reinforcement learning writes them, your data scores them.

commands:
{commands}

`archwright search` alone runs the main job on the digits data set; `archwright COMMAND --help` explains a command.
Errors are one line and exit code 2; --debug shows where they come from.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, 2 for an error the user can mend, 130 for Ctrl-C."""
    from archwright.cli.guarded import guarded

    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    return guarded(lambda: _run(words, debug, program=arguments is None), debug=debug)


def _run(words: Sequence[str], debug: bool, *, program: bool) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP.format(commands="\n".join(f"  {name:<11} {what}" for name, what in COMMANDS.items())), end="")
        return 0
    if words[0] == "--version":
        from archwright import __version__

        print(f"archwright {__version__}")
        return 0
    if words[0] not in COMMANDS:
        raise ConfigError(f"{words[0]!r} is not a command; there are {', '.join(COMMANDS)}")
    if program:
        from archwright.cli.guarded import settle_streams

        settle_streams()
    from archwright.cli.commands import dispatch

    return dispatch(words[0], words[1:], debug=debug)


if __name__ == "__main__":
    sys.exit(main())
