"""Text: tokens, vocabulary, parts, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archwright.data.text import EOS, UNKNOWN, encode, is_text, load_text, tokens_of
from archwright.errors import ArchwrightError, ConfigError, DataError

LINES = "the cat sat\non the mat\n" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"train": LINES, "valid": "the dog sat\n" * 40, "test": "the mat\n" * 60}.items():
        (tmp_path / f"corpus.{name}.txt").write_text(text)
    return tmp_path


def test_words_end_their_line_with_eos() -> None:
    assert tokens_of("a b\n\nc", "words") == ["a", "b", EOS, EOS, "c", EOS]
    assert tokens_of("a b\n", "characters") == ["a", " ", "b", "\n"]


def test_a_folder_brings_its_own_parts(folder: Path) -> None:
    data = load_text(folder)
    assert [len(part) for part in data.parts.values()] == [800, 160, 180]
    assert data.vocabulary == ("<eos>", "the", "cat", "mat", "on", "sat", UNKNOWN)  # by frequency, then by name
    assert data.task.vocabulary == 7
    assert [data.vocabulary[n] for n in data.validation[:4]] == ["the", UNKNOWN, "sat", EOS]
    assert "40 validation" in data.notes[0]


def test_a_file_is_cut_into_consecutive_parts(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text(LINES * 5)
    data = load_text(f"text:{path}")
    assert [len(part) for part in data.parts.values()] == [3600, 200, 200]
    again = [data.vocabulary[n] for part in data.parts.values() for n in part]
    assert again == tokens_of(LINES * 5, "words")
    assert load_text(path, validation=0.1, test=0.2).fingerprint != data.fingerprint
    assert load_text(path).fingerprint == data.fingerprint


def test_the_embedded_text_is_the_interpreters_documentation() -> None:
    words, characters = load_text("topics"), load_text("topics", level="characters")
    assert len(words.train) > 50_000
    assert len(characters.vocabulary) < 200
    assert "the" in words.vocabulary[:5]


def test_a_limited_vocabulary_keeps_the_most_frequent(folder: Path) -> None:
    data = load_text(folder, vocabulary=3)
    assert data.vocabulary == ("<eos>", "the", UNKNOWN)
    assert "of the training tokens" in data.notes[0]
    some = load_text(folder, limit=100)
    assert [some.vocabulary[n] for n in some.train] == tokens_of(LINES, "words")[:100]


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1))
def test_encoding_can_be_undone(tokens: list[str]) -> None:
    vocabulary = ("c", "a", "b")
    assert [vocabulary[n] for n in encode(tokens, vocabulary)] == tokens


def test_what_is_text(folder: Path) -> None:
    assert is_text("topics")
    assert is_text("text:anything")
    assert is_text("book.txt")
    assert is_text(folder)
    assert not is_text("digits")
    assert not is_text(folder.parent / "images.npz")


@pytest.mark.parametrize(
    ("text", "options", "error", "says"),
    [
        ("short", {}, DataError, "at least 100"),
        (LINES, {"level": "letters"}, ConfigError, "words or characters"),
        (LINES, {"vocabulary": 1}, ConfigError, "at least 2"),
        (LINES, {"validation": 0.6, "test": 0.5}, ConfigError, "shares"),
        (LINES * 5, {"limit": 5}, ConfigError, "limit"),
    ],
)
def test_what_cannot_be_used_is_said(
    tmp_path: Path, text: str, options: dict[str, object], error: type[ArchwrightError], says: str
) -> None:
    path = tmp_path / "book.txt"
    path.write_text(text)
    with pytest.raises(error, match=says):
        load_text(path, **options)  # type: ignore[arg-type]


def test_missing_and_unreadable_files_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_text(tmp_path / "nothing.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        load_text(tmp_path / "bytes.txt")
    (folder / "corpus.test.txt").unlink()
    with pytest.raises(DataError, match=r"one \.txt file for test"):
        load_text(folder)
    with pytest.raises(DataError, match="vocabulary"):
        encode(["x"], ("a",))


def test_the_mark_that_some_editors_write_is_no_word(folder: Path) -> None:
    plain = load_text(folder).fingerprint
    for path in folder.glob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_text(folder).fingerprint == plain


def test_what_else_lies_in_a_folder_of_texts_is_said(folder: Path) -> None:
    (folder / "notes.md").write_text("x")
    (folder / "cover.png").write_text("x")
    (folder / ".cache").mkdir()
    notes = load_text(folder).notes
    assert notes[:3] == (
        "not used: 1 files that are none of its parts (1 .md)",
        "not used: 1 folders (.cache)",
        "not used: 1 images",
    )
    assert is_text(folder)


def test_a_script_without_spaces_is_pointed_to_characters(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("我们在这里写了一行没有空格的文字而它很长\n" * 30, encoding="utf-8")
    with pytest.raises(DataError, match=r"it needs at least 100; .*--level characters"):
        load_text(path)
    path.write_text("我们在这里写了一行没有空格的文字而它很长\n" * 3000, encoding="utf-8")
    assert "--level characters" in load_text(path).warnings[0]
    assert load_text(path, level="characters").warnings == ()
