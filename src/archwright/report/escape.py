"""Text from outside (names of classes, paths, errors) as text, whatever it holds: on a terminal, and in Markdown."""

from __future__ import annotations

import re

# Controls, ends of lines, changes of direction, halves of pairs: they move the cursor, forge lines, cannot be encoded.
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def for_terminal(text: str) -> str:
    r"""Return the text as one line without control characters: `\n` and `\x1b` stand for what is not shown."""
    return _UNSHOWN.sub(lambda found: ascii(found.group())[1:-1], text)


def for_markdown(text: str) -> str:
    """Return the text as one line that means itself in a heading or a cell of a table; HTML is entities."""
    text = re.sub(r"[\\`*_\[\]#|~]", r"\\\g<0>", for_terminal(text))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
