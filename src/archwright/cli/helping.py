"""Help: examples first, then what a command takes, on lines that fit a terminal."""

from __future__ import annotations

import textwrap
from typing import Any

WIDTH, FLAG = 80, 24  # of a terminal, and of a flag with its value

EXAMPLES: dict[str, tuple[str, ...]] = {
    "search": (
        "--data photos/ --minutes 20    images, CLASS/*.png",
        "--data book.txt --minutes 20   a language model",
        "--space enas-micro --minutes 10   the cells of ENAS",
    ),
    "resume": (
        "runs/photos-001   after Ctrl-C or a kill",
        "runs/photos-001 --data moved/photos   it has moved",
    ),
    "finish": ("runs/photos-001   train the best that the search has so far",),
    "train": (
        "runs/photos-001 --filters 36 --epochs 60   larger",
        "nasnet-a --data photos/   a published one",
    ),
    "rank": ("runs/photos-001 --architectures 20",),
    "transfer": (
        "runs/photos-001 --data OTHER --repeats 4   a run's",
        "nasnet-a --data photos/ --filters 16   a published one",
    ),
    "compare": (
        "runs/photos-001 runs/photos-002   table and picture",
        "--baseline runs/photos-001   train rivals first",
    ),
    "report": (
        "runs/photos-001   one page, RUN/report.html",
        "runs/photos-001 runs/photos-002   a page that compares",
    ),
    "dashboard": ("   pages about runs/ in a browser", "OTHER/runs --port 9000"),
    "watch": ("runs/photos-001   how far another process is with it",),
    "cook": ("--with potato,beef --count 5   of the recipes that come along",),
    "front": ("runs/photos-001   what is best in several objectives",),
    "show": (
        "runs/photos-001   draw what a run found",
        "nasnet-a --filters 44 --image-size 224   its size",
    ),
    "export": (
        "runs/photos-001   model.py, model.pt2",
        "runs/photos-001 --format onnx --int8   for ONNX Runtime",
    ),
    "predict": (
        "runs/photos-001 new.png folder/   the class of images",
        'runs/book-001 "Once upon a"   how a text goes on',
    ),
    "bench": (
        "--table signals --budget 200t --runs 5   in seconds",
        "--table FILE.npz   NAS-Bench-201",
        "--data digits --space nas-conv --trials 20 --dry-run",
    ),
    "list": ("", "OTHER/runs --json"),
    "spaces": (
        "   all, with controllers, objectives, operations",
        "enas-micro   the fields of one, flags as --space.FIELD",
    ),
    "controllers": ("", "guided   its arguments, as --controller.FIELD"),
    "check": ("photos/   images in folders of classes, .npz, parquet", "book.txt   a text"),
    "doctor": ("   this machine, and the disk of runs/", "/scratch/runs --json   another disk"),
    "completion": (
        "bash >> ~/.bash_completion",
        "zsh > ~/.zfunc/_archwright",
    ),
}


def example_lines(command: str) -> str:
    """Return the examples of a command as lines that end; empty if it has none."""
    parts = [line.partition("   ") for line in EXAMPLES.get(command, ())]
    lines = [(f"archwright {command} {words}".rstrip(), about.strip()) for words, _, about in parts]
    wide = max((len(words) for words, about in lines if about), default=0)
    return "".join(f"  {words:<{wide}}   {about}".rstrip() + "\n" for words, about in lines)


def help_of(parser: Any) -> str:
    """Return the help of a parser of argparse: examples, what it does, and what it takes, group by group."""
    lines = [*textwrap.wrap(parser.description or "", WIDTH - 1)]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.dest != "help"]
        if actions:
            lines.append("" if group in parser._action_groups[:2] else f"\n{group.title}:")
        for action in actions:
            lines += flag_lines(*_named(action), WIDTH)
    examples = example_lines(parser.prog.rpartition(" ")[2])
    return examples + "\n" * bool(examples) + "\n".join(lines) + "\n"


def flag_lines(name: str, text: str, width: int) -> list[str]:
    """Return a flag and what it does as lines."""
    words = textwrap.wrap(text, width - FLAG - 4, break_on_hyphens=False) or [""]
    first = [f"  {name:<{FLAG}} {words.pop(0)}"] if len(name) <= FLAG else [f"  {name}"]
    return [*first, *(f"{'':<{FLAG + 3}}{line}" for line in words)]


def _named(action: Any) -> tuple[str, str]:
    """Return a flag with its value, or an argument, and what it does."""
    flag = action.option_strings[-1] if action.option_strings else ""
    named = action.metavar or "|".join(map(str, action.choices or ())) or (flag or action.dest).strip("-").upper()
    value = "" if action.nargs == 0 else named.rpartition("_")[2]
    name = f"{flag} {value}".strip()
    text = str(action.help or "") % {"default": action.default}
    return name.replace("_", "-"), text
