"""The command `archwright`: finds the subcommand and loads only what it needs, so that --help is instant."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from archwright.errors import ConfigError, offered

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
    "front": "list the networks of a run that none is better than in everything",
    "show": "draw an architecture and count its parameters and multiply-adds",
    "export": "write a model as plain PyTorch source, torch.export or ONNX",
    "predict": "classify images with a run's model",
    "bench": "compare search strategies on a benchmark's table, or on real training",
    "list": "list the runs in a folder",
    "spaces": "list the spaces, objectives and operations, or show the fields of a space",
    "controllers": "list the controllers, or show the arguments of one",
    "check": "say what is understood of a data set",
    "cook": "find combinations of ingredients with a cooking method",
    "doctor": "say what this machine has, what is slow on it, and why",
    "completion": "print a script that completes commands and flags in bash, zsh or tcsh",
}

# The lines of --help, which fits a terminal of 80 x 24: commands that belong together, and what each does.
TOGETHER: tuple[dict[str, str], ...] = (
    {"search": "find a network for a data set, train it and test it once"},
    {"resume": "go on with a run", "finish": "end its search now, train its best"},
    {"list": "the runs in a folder", "watch": "one that runs", "dashboard": "all in a browser"},
    {"predict": "use a run's model", "export": "files that need no archwright"},
    {"show": "draw an architecture and count it", "report": "a run as a page"},
    {"compare": "accuracy against size", "front": "of objectives", "bench": "strategies"},
    {"train": "any architecture from scratch", "transfer": "for other data"},
    {"rank": "whether shared weights rank as training from scratch does"},
    {"spaces": "what can be searched", "controllers": "what proposes, and its settings"},
    {"check": "what is understood of a data set", "doctor": "what is slow, and why"},
    {"cook": "dishes by the same search", "completion": "commands by the Tab key"},
)

HELP = """archwright finds a neural network for your data, trains it and tests it once.

  archwright search                               on images of digits: a minute
  archwright search --data photos/ --minutes 20   for your images, CLASS/*.png
  archwright search --data book.txt --minutes 20  a language model of your text
  archwright predict runs/photos-001 new.png      use what was found

commands; archwright COMMAND --help explains one:
{commands}

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
    if not words:
        from archwright.cli.next_step import next_step

        print("\n".join(next_step()))
        return 0
    if words[0] in ("-h", "--help", "help"):
        print(HELP.format(commands="\n".join(_rows())), end="")
        return 0
    if words[0] == "--version":
        from archwright import __version__

        print(f"archwright {__version__}")
        return 0
    if words[0] not in COMMANDS:
        raise ConfigError(f"{words[0]!r} is not a command; {offered(words[0], COMMANDS)}")
    if program:
        from archwright.cli.guarded import settle_streams

        settle_streams()
    from archwright.cli.commands import dispatch

    return dispatch(words[0], words[1:], debug=debug)


def _rows() -> list[str]:
    """Return the commands as lines of help; one that is in no group has a line of its own."""
    grouped = {name for group in TOGETHER for name in group}
    groups = [*TOGETHER, *({name: what} for name, what in COMMANDS.items() if name not in grouped)]
    there = [{name: what for name, what in group.items() if name in COMMANDS} for group in groups]
    return [f"  {', '.join(group):<19} {'; '.join(group.values())}" for group in there if group]


if __name__ == "__main__":
    sys.exit(main())
