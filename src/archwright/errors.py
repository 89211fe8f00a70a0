"""Errors that the user can fix. The command line prints each as one line and exits with 2."""

from __future__ import annotations

from collections.abc import Iterable


class ArchwrightError(Exception):
    """Anything whose message tells the user what was wrong, where, and what would be right."""


class SpaceError(ArchwrightError):
    """A space's program, or an architecture that claims to come from it, breaks a rule of `archwright.space`."""


class TooMany(SpaceError):
    """A program has more different runs than may be counted."""


class UnknownOption(SpaceError):
    """An answer that is not among the options of its decision."""


class DataError(ArchwrightError):
    """Data that cannot be read or used."""


class ConfigError(ArchwrightError):
    """Arguments or settings that do not go together."""


class RunError(ArchwrightError):
    """A run folder that is missing, damaged, locked by another process, or in the wrong state for the command."""


class MissingExtra(ArchwrightError):
    """An optional dependency is not installed; the message names the pip command."""


class ChildFailure(ArchwrightError):
    """A child could not be scored. A search records it as a failed trial and goes on."""


class Diverged(ChildFailure):
    """Training reached NaN or infinity."""


class TimedOut(ChildFailure):
    """A child used up its time limit."""


class WorkerDied(ChildFailure):
    """The process that evaluated a child ended without an answer (crash, kill, out of memory)."""


class DataWarning(UserWarning):
    """Data that was used, and may not be what the user thinks. The command line prints each as one line."""


def offered(name: object, known: Iterable[object], also: str = "") -> str:
    """Return the words for what there is in place of a wrong `name`, the nearest spelled one first.

    `also` is what else would do, such as `file.py:Name`.
    """
    import difflib  # at the moment of use: --help is instant

    names = [str(one) for one in known]
    lower = {one.lower(): one for one in reversed(names)}
    near = difflib.get_close_matches(str(name).lower(), lower, n=1)
    there = ", ".join(names) + (f", or {also}" if also else "")
    return f"did you mean {lower[near[0]]}? There are {there}" if near else f"there are {there}"
