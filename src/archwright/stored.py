"""Reading what is stored as JSON: values of dataclasses, whose annotations are the schema, and one kind of error.

A file may be damaged, or come from a stranger, so whatever is wrong with it is a `RunError` that names it.
"""

from __future__ import annotations

import collections.abc
import inspect
import json
import numbers
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from archwright.errors import ArchwrightError, ConfigError, RunError, offered

Made = TypeVar("Made")

# What code raises that makes sense of values of any shape.
SENSELESS = (
    *(TypeError, ValueError, LookupError, AttributeError, ArithmeticError, AssertionError),
    *(RuntimeError, MemoryError, ArchwrightError),  # the first is also torch's, and of recursion that is too deep
)
_NUMBERS: dict[Any, Any] = {int: numbers.Integral, float: numbers.Real}  # NumPy's are numbers, too


@contextmanager
def reading(where: object) -> Iterator[None]:
    """Turn an error in making sense of what is stored at `where` into a RunError that says so."""
    try:
        yield
    except RunError:
        raise
    except SENSELESS as error:
        said = str(error) if isinstance(error, ArchwrightError) else repr(error)
        raise RunError(f"{where} is damaged: {said[:300]}") from error


def parsed(text: str | bytes, where: object) -> Any:
    """Return the JSON value of a text."""
    with reading(where):
        return json.loads(text)


def load(path: Path) -> Any:
    """Return the JSON value in a file; a RunError too if the file cannot be read."""
    try:
        if not path.is_file():  # a pipe would be waited for
            raise FileNotFoundError(2, "there is no such file")
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: {error.strerror or error}") from None
    return parsed(content, path)


def made(cls: type[Made], values: Mapping[str, Any], what: str) -> Made:
    """Return a dataclass made of plain data; ConfigError for a field that is unknown, missing or of another type."""
    known = {field.name: field for field in fields(typing.cast(Any, cls)) if field.init}
    for name in values:
        if name not in known:
            raise ConfigError(f"{what} has no field {name!r}; {offered(name, sorted(known))}")
    for name, field in known.items():
        if name not in values:
            if field.default is MISSING and field.default_factory is MISSING:
                raise ConfigError(f"{what} needs the field {name!r}")
        elif not conforms(values[name], _annotation(cls, name)):
            raise ConfigError(f"{what}: {name} is {_short(values[name])}; it must be {field.type}")
    return cls(**values)


def conforms(value: Any, kind: Any) -> bool:
    """Return whether a plain value is what an annotation says; a list may stand for a tuple. Unknown kinds hold all."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(conforms(value, one) for one in inner)
    if origin is typing.Literal:
        return value in inner
    if kind is None or kind is type(None):
        return value is None
    if kind is bool or kind is str:
        return isinstance(value, kind)
    if kind in _NUMBERS:
        return isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        many = [inner[0]] * len(value) if inner[1:] == (...,) else inner
        return len(many) == len(value) and all(map(conforms, value, many))
    if origin in (dict, collections.abc.Mapping):
        return isinstance(value, Mapping) and all(
            conforms(k, inner[0]) and conforms(v, inner[1]) for k, v in value.items()
        )
    return True


def _annotation(cls: type, name: str) -> Any:
    """Return the type of a field, or Any where its name means nothing outside a type checker."""
    for owner in cls.__mro__:
        if name in (own := inspect.get_annotations(owner)):
            written = own[name]
            if not isinstance(written, str):
                return written
            try:
                return eval(written, dict(vars(sys.modules[owner.__module__])), dict(vars(owner)))
            except Exception:
                return Any
    return Any


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
