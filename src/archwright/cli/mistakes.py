"""What parsers say of a wrong flag or value, in our words: what was given, what would do, the nearest spelled one."""

from __future__ import annotations

import collections.abc
import re
import types
import typing
from typing import Any

from archwright.errors import offered

WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
# Of argparse, and of jsonargparse, with white space as single spaces.
UNKNOWN = re.compile(r"unrecognized arguments: (?P<words>.*)")
MISSING = re.compile(r"the following arguments are required: (?P<names>.*)")
NO_VALUE = re.compile(r"argument (?P<flag>\S+): expected (?:one argument|at least one argument)")
VALUE = re.compile(r"argument (?P<flag>\S+): invalid (?:choice|\S+ value): (?P<value>'.*?'|\S+)(?: \(choose from .*)?$")
KEY = re.compile(r'Parser key "(?P<key>[^"]+)"')
GIVEN = re.compile(r"(?:Got value|Given value): (?P<value>.*)$")


def explained(parser: Any, message: str) -> str:
    """Return what is wrong with the flags of a parser of either library, in one line."""
    message = " ".join(message.split()).removeprefix("error: ")
    if found := UNKNOWN.search(message):
        return _unknown(parser, found["words"])
    if found := MISSING.search(message):
        names = (_needed(parser, name) for name in found["names"].split(", "))
        return f"{parser.prog} needs {', '.join(names)}; {parser.prog} --help shows examples"
    if found := NO_VALUE.search(message):
        return f"{flag_of(found['flag'])} needs a value"
    if found := VALUE.search(message):
        action = _action(parser, found["flag"])
        if action is not None:
            return _wrong(flag_of(found["flag"]), found["value"].strip("'"), action)
    if (found := KEY.search(message)) and (action := _action(parser, found["key"])) is not None:
        given = GIVEN.search(message)
        if given is not None:
            return _wrong(flag_of(f"--{found['key']}"), given["value"], action)
    return message


def _unknown(parser: Any, words: str) -> str:
    """Say which flag there is not, and which there is."""
    first, *_ = words.split()
    flag = flag_of(first.partition("=")[0])
    if not first.startswith("-"):
        return f"{parser.prog}: {words!r} is too much; {parser.prog} --help shows what it takes"
    known = [flag_of(name) for action in parser._actions for name in action.option_strings]
    near = offered(flag, known).partition("?")
    hint = f"{near[0]}? " if near[1] else ""
    fields = " (fields are those of the components chosen)" if "." in flag else ""
    return f"{flag} is not a flag of {parser.prog}{fields}; {hint}{parser.prog} --help lists them"


def _needed(parser: Any, name: str) -> str:
    """Return a flag that has to be given, or the name of an argument."""
    action = _action(parser, name)
    return flag_of(action.option_strings[-1]) if action is not None and action.option_strings else name.upper()


def _wrong(flag: str, value: str, action: Any) -> str:
    kind = getattr(action, "_typehint", None) or action.type
    known = list(action.choices or options_of(kind))
    if known:
        return f"{flag} is {value!r}; {offered(value, known)}"
    return f"{flag} is {value!r}; it must be {' or '.join(_words(kind))}"


def options_of(kind: Any) -> list[Any]:
    """Return the options of a Literal; none where other values will do, too."""
    if typing.get_origin(kind) is typing.Literal:
        return list(typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        parts = [one for one in typing.get_args(kind) if one is not type(None)]
        if all(typing.get_origin(one) is typing.Literal for one in parts):
            return [option for one in parts for option in typing.get_args(one)]
    return []


def _words(kind: Any) -> list[str]:
    """Return what values of a type are."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return [word for one in inner if one is not type(None) for word in _words(one)]
    if origin is typing.Literal:
        return [str(one) for one in inner]
    if origin in (tuple, list, collections.abc.Sequence):
        return [f"a list such as [A, B], each {_words(inner[0])[0] if inner else 'a value'}"]
    if origin in (dict, collections.abc.Mapping):
        return ["settings by name, {NAME: VALUE}"]
    return [WORDS.get(kind, getattr(kind, "__name__", str(kind)))]


def _action(parser: Any, name: str) -> Any:
    """Return the action of a flag, or of a key or a metavariable."""
    for flag in name.split("/"):
        for action in parser._actions:
            if flag in (*action.option_strings, action.dest, action.metavar):
                return action
    return None


def flag_of(name: str) -> str:
    """Return a flag as it is shown, with dashes, the long one of several; a word that is no flag as it is."""
    long = name.split("/")[-1]
    return "--" + long[2:].replace("_", "-") if long.startswith("--") else long
