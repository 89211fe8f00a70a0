"""Text as language models use it: one long row of tokens in each of three parts, and the vocabulary."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from archwright.data.hub import has_text, text_parts
from archwright.data.limits import require_room
from archwright.data.tree import PARTS, Tree, has_images_in_folders, part_named, tree
from archwright.errors import ConfigError, DataError
from archwright.space import TextTask

EOS, UNKNOWN = "<eos>", "<unk>"
CUT = 0.05  # of a text, for validation and for the test each
LEAST = 100  # tokens in a part
LONG_WORD = 15  # characters of a word on average, from where a text is probably in a script without spaces
MEMORY = 8  # bytes, at least, that a byte of text takes as tokens
Level = Literal["words", "characters"]


@dataclass(frozen=True, eq=False, repr=False)
class TextData:
    """Three parts of text, int64 [n] each, numbering `vocabulary`. The test part is for the end.

    `level`: "words" (between spaces; a line ends with <eos>) or "characters". `notes` say what was made of the text,
    `warnings` what may be wrong.
    """

    train: Int[Tensor, " n"]
    validation: Int[Tensor, " n"]
    test: Int[Tensor, " n"]
    vocabulary: tuple[str, ...]
    level: Level
    name: str
    split: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"TextData({self.name}: {len(self.train)} {self.level}, vocabulary {len(self.vocabulary)})"

    @property
    def task(self) -> TextTask:
        """What a model for this text must predict."""
        return TextTask(len(self.vocabulary))

    @property
    def parts(self) -> dict[str, Tensor]:
        """The three parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits over vocabulary and tokens."""
        digest = hashlib.blake2b(repr(self.vocabulary).encode(), digest_size=6)
        for part in self.parts.values():
            digest.update(f"{len(part)}".encode())
            digest.update(part.numpy().tobytes())
        return digest.hexdigest()

    def encode(self, text: str) -> Int[Tensor, " n"]:
        """Encode other text; tokens that are not in the vocabulary become <unk>, or are an error without it."""
        return encode(tokens_of(text, self.level), self.vocabulary)


def tokens_of(text: str, level: Level) -> list[str]:
    """Split text into tokens."""
    if level == "characters":
        return list(text)
    return [token for line in text.splitlines() for token in (*line.split(), EOS)]


def encode(tokens: Sequence[str], vocabulary: Sequence[str]) -> Int[Tensor, " n"]:
    """Return the numbers of tokens."""
    numbers = {token: number for number, token in enumerate(vocabulary)}
    unknown = numbers.get(UNKNOWN)
    found = [numbers.get(token, unknown) for token in tokens]
    if None in found:
        raise DataError(f"{tokens[found.index(None)]!r} is not in the vocabulary, which has no {UNKNOWN}")
    return torch.from_numpy(np.array(found, dtype=np.int64))


def is_text(source: object) -> bool:
    """Return whether `source` names text: `topics`, `text:PATH`, a .txt file, or a folder of texts.

    That is a folder with a training .txt file whose folders hold no images. A table with a column `text` and no images
    is text, too: a parquet or Arrow file, a folder of them, a Hugging Face Dataset.
    """
    if not isinstance(source, (str, Path)):
        return isinstance(source, TextData) or has_text(source)
    if str(source) == "topics" or str(source).startswith("text:") or str(source).endswith(".txt"):
        return True
    path = Path(source)
    training = path.is_dir() and any(part_named(file.stem) == "train" for file in path.glob("*.txt"))
    return (training and not has_images_in_folders(path)) or has_text(path)


def load_text(
    source: Any,
    *,
    level: Level = "words",
    vocabulary: int | None = None,
    validation: float | None = None,
    test: float | None = None,
    limit: int | None = None,
) -> TextData:
    """Read text in three parts.

    - `source`: "topics" (the interpreter's own documentation), a text file (cut into consecutive parts: 90 %, and
      `validation` and `test` 5 % each), or a folder with one .txt file each for train, valid and test; `text:` may
      stand before a path.
    - `level`: words (between spaces) or characters.
    - `vocabulary`: keep the most frequent tokens of the training part, at most so many; others become <unk>.
    - `limit`: use at most so many training tokens.
    """
    if isinstance(source, TextData):
        return source
    if level not in ("words", "characters"):
        raise ConfigError(f"level is {level!r}; it must be words or characters")
    if vocabulary is not None and vocabulary < 2:
        raise ConfigError(f"vocabulary is {vocabulary}; it must be at least 2")
    notes: list[str] = []
    name = str(source).removeprefix("text:")
    if not isinstance(source, (str, Path)):
        name = f"{type(source).__name__} in memory"
    if name == "topics":
        from pydoc_data.topics import topics  # the language reference as `help()` shows it

        text = "\n".join(topics[name] for name in sorted(topics))
        parts, split = _cut(tokens_of(text, level), validation, test, "the interpreter's documentation")
    elif (found := text_parts(source)) is not None:
        texts, notes = found
        parts = {part: tokens_of(text, level) for part, text in texts.items()}
        parts, split = _completed(parts, validation, test, name)
    elif Path(name).is_dir():
        if (validation, test) != (None, None):
            raise ConfigError(f"{name} has parts of its own; leave out validation and test")
        lying = tree(Path(name))
        paths = {part: _part_file(lying, part) for part in PARTS}
        _require_room(name, paths.values())
        notes = lying.unused([(path.name,) for path in paths.values()], "none of its parts")
        notes += [f"not used: {len(lying.images):,} images"] if lying.images else []
        parts = {part: tokens_of(read_text(path), level) for part, path in paths.items()}
        split = "the folder's own files: " + ", ".join(path.name for path in paths.values())
    else:
        parts, split = _cut(tokens_of(read_text(Path(name)), level), validation, test, name)
    if limit is not None:
        if limit < LEAST:
            raise ConfigError(f"limit is {limit}; a text needs at least {LEAST} training tokens")
        parts["train"] = parts["train"][:limit]
    lengths = [len(token) for token in parts["train"] if token != EOS]
    unspaced = level == "words" and sum(lengths) > LONG_WORD * len(lengths)
    hint = (
        "the words are very long: for a script without spaces between them take level characters (--level characters)"
    )
    for part, tokens in parts.items():
        if len(tokens) < LEAST:
            why = f"; {hint}" if unspaced else ""
            raise DataError(f"{name}: the {part} part has {len(tokens)} {level}; it needs at least {LEAST}{why}")
    words, more = _vocabulary(parts, vocabulary)
    notes += more
    numbers = {part: encode(tokens, words) for part, tokens in parts.items()}
    counts = ", ".join(f"{len(tokens):,} {part}" for part, tokens in parts.items())
    split = f"{counts} {level}: {split}; vocabulary {len(words):,}"
    return TextData(
        **numbers,
        vocabulary=words,
        level=level,
        name=name,
        split=split,
        notes=tuple(notes),
        warnings=(hint,) if unspaced else (),
    )


def _vocabulary(parts: dict[str, list[str]], most: int | None) -> tuple[tuple[str, ...], list[str]]:
    """Sort tokens by frequency in the training part; ties by the token itself."""
    counts = Counter(parts["train"])
    words = sorted(counts, key=lambda token: (-counts[token], token))
    notes = []
    if most is not None and len(words) > most:
        words = [*[word for word in words if word != UNKNOWN][: most - 1], UNKNOWN]
        known = set(words)
        rare = sum(count for token, count in counts.items() if token not in known)
        notes.append(f"{rare / len(parts['train']):.1%} of the training tokens are not in the vocabulary")
    known = set(words)
    missing = [sum(token not in known for token in parts[part]) for part in ("validation", "test")]
    if any(missing):
        if UNKNOWN not in known:
            words.append(UNKNOWN)
        notes.append(f"{missing[0]:,} validation and {missing[1]:,} test tokens are not in the vocabulary")
    return tuple(words), notes


def _cut(
    tokens: list[str], validation: float | None, test: float | None, what: str
) -> tuple[dict[str, list[str]], str]:
    shares = [CUT if share is None else share for share in (validation, test)]
    if not (all(0 < share < 1 for share in shares) and sum(shares) < 1):
        raise ConfigError(f"validation and test are {shares[0]} and {shares[1]}; they must be shares that leave a rest")
    sizes = [round(len(tokens) * share) for share in shares]
    first, second = len(tokens) - sum(sizes), len(tokens) - sizes[1]
    parts = {"train": tokens[:first], "validation": tokens[first:second], "test": tokens[second:]}
    return parts, f"consecutive parts of {what}"


def _completed(
    parts: dict[str, list[str]], validation: float | None, test: float | None, name: str
) -> tuple[dict[str, list[str]], str]:
    """Return three parts of those that a table has: what is missing is cut off the end of the training part."""
    if set(parts) == {"train"}:
        return _cut(parts["train"], validation, test, name)
    if (validation, test) != (None, None):
        raise ConfigError(f"{name} has parts of its own; leave out validation and test")
    split = f"the parts of {name}: {', '.join(parts)}"
    if len(parts) == 2:  # as with images, a single other part is the test part
        other = next(part for part in parts if part != "train")
        last = max(1, round(CUT * len(parts["train"])))
        own = {"train": parts["train"][:-last], "validation": parts["train"][-last:], "test": parts[other]}
        return own, f"{split}; validation is the end of train"
    return parts, split


def _part_file(lying: Tree, part: str) -> Path:
    texts = [lying.root / names[0] for names in lying.others if len(names) == 1 and names[0].endswith(".txt")]
    found = [path for path in texts if part_named(path.stem) == part]
    if len(found) != 1:
        seen = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{lying.root}: expected one .txt file for {part} (such as {part}.txt), found {seen}")
    return found[0]


def _require_room(name: str, paths: Iterable[Path]) -> None:
    """Raise DataError if texts take more memory than there is."""
    require_room(MEMORY * sum(path.stat().st_size for path in paths), name, "use a part of it")


def read_text(path: Path) -> str:
    """Return a text file in UTF-8, without the mark at its beginning (BOM) that some editors write."""
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is no regular file")
        _require_room(str(path), [path])
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        wanted = "a text file, or a folder with train, valid and test .txt"
        raise DataError(f"{path}: no such file; give {wanted}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8: byte {error.start} cannot be read") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
