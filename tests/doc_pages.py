"""The pages of the documentation, their fenced blocks, and the commands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block; `title` is the name of the file that it is."""

    language: str
    title: str | None
    text: str


def blocks(page: Path) -> list[Block]:
    found, lines, opening = [], [], None
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("```"):
            lines.append(line)
        elif opening is None:
            opening, lines = line[3:], []
        else:
            title = TITLE.search(opening)
            found.append(Block(opening.partition(" ")[0], title and title[1], "\n".join(lines)))
            opening = None
    assert opening is None, f"{page}: a block is not closed"
    return found


def commands(page: Path) -> list[str]:
    """Return the lines of commands, without their comments, of the blocks of the shell."""
    lines = (
        "\n".join(block.text for block in blocks(page) if block.language in ("", "bash"))
        .replace("\\\n", " ")
        .splitlines()
    )
    parts = [part.strip() for line in lines for part in re.split(r"&&|;", line.partition("#")[0])]
    return [part for part in parts if part.startswith("archwright ")]


def in_sentences(page: Path) -> list[str]:
    """Return the commands between backticks."""
    found = re.findall(r"`(archwright [^`]*)`", page.read_text(encoding="utf-8"))
    return [" ".join(words.split()) for words in found]
