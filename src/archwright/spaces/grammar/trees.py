"""Sentences as trees: what two are compared by, and how one becomes another (sub-tree mutation and crossover).

A changed sentence is read by the space's own program, so it is within the limits, or it is not made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, TypeAlias

from archwright.architecture import Architecture
from archwright.errors import SpaceError, UnknownOption
from archwright.explore import Seed, draw_answer, generator, mutate
from archwright.sentences.fitting import after, measured
from archwright.sentences.library import NAMED, parse, residual
from archwright.sentences.operations import parts
from archwright.sentences.rules import COMPUTATIONS
from archwright.sentences.sentence import Sentence
from archwright.sentences.shapes import Cost, Shape
from archwright.spaces.grammar.composing import ENDS, SETTINGS, Composer, answered
from archwright.spaces.grammar.places import Place

if TYPE_CHECKING:
    import numpy as np

Grammar: TypeAlias = Any  # `archwright.spaces.grammar.space.Grammar`, which imports this file
Path: TypeAlias = "tuple[int, ...]"  # which inner part, which inner part of that, ...
KNOWN = 0.7  # of what is new, so much is a known operation
TRIES = 60  # of a variation; then the core's mutation of one decision
DEPTHS = (1, 2)  # of the sub-trees that are counted, beside single rules
SET = (*SETTINGS, *ENDS)  # what has settings
IDENTITY = Sentence("identity")


@dataclass(frozen=True)
class Node:
    """A sub-sentence: where it stands, the shapes before and after it, and how often it is there and used."""

    path: Path
    sentence: Sentence
    before: Shape
    after: Shape
    copies: int = 1
    uses: int = 1

    @property
    def cost(self) -> Cost:
        """What it costs of the whole sentence."""
        return measured(self.sentence, self.before)[1].times(self.copies, self.uses)


@lru_cache(maxsize=256)
def all_nodes(sentence: Sentence, shape: Shape) -> tuple[Node, ...]:
    """Return every sub-sentence, each before its own."""
    return tuple(nodes(sentence, shape))


def nodes(sentence: Sentence, shape: Shape, path: Path = (), copies: int = 1, uses: int = 1) -> Iterator[Node]:
    """Yield every sub-sentence, each before its own."""
    yield Node(path, sentence, shape, after(sentence, shape), copies, uses)
    steps = shape.positions if sentence.rule == "recurrence" else 1
    for number, (part, given, times) in enumerate(parts(sentence, shape)):
        yield from nodes(part, given, (*path, number), copies * times, uses * times * steps)


def replaced(sentence: Sentence, path: Path, new: Sentence) -> Sentence:
    """Return the sentence with `new` in a place."""
    if not path:
        return new
    inner = list(sentence.inner)
    inner[path[0]] = replaced(inner[path[0]], path[1:], new)
    return sentence.with_inner(tuple(inner))


def difference(one: Sentence, other: Sentence) -> Path:
    """Return the path to the first part in which two sentences differ."""
    ours, theirs = one.inner, other.inner
    begin = one.parts[:1] == other.parts[:1] or one.rule not in ENDS
    if begin and len(ours) == len(theirs) and (one.rule, one.settings) == (other.rule, other.settings):
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            if a != b:
                return (number, *difference(a, b))
    return ()


@lru_cache(maxsize=4096)
def tree_features(sentence: Sentence) -> dict[str, Counter[Any]]:
    """Return multisets: rules with their settings, rules that follow each other, and sub-trees to a depth.

    The label of a sub-sentence to depth d is its rule with the labels of its parts to depth d - 1 (Weisfeiler & Leman
    1968; Shervashidze et al. 2011).
    """
    counted = {name: Counter[Any]() for name in ("rules", "steps", *(f"sub-trees {depth}" for depth in DEPTHS))}

    def labels(one: Sentence) -> list[Any]:
        """Return a sub-sentence's labels to each depth from 0 up, and count it."""
        below = [labels(part) for part in one.parts]
        own: list[Any] = [one.rule]
        counted["rules"][one.rule, one.settings] += 1
        counted["steps"].update(pairwise(part.rule for part in one.parts))
        for depth in DEPTHS if below else ():
            own.append((one.rule, *(part[min(depth, len(part)) - 1] for part in below)))
            counted[f"sub-trees {depth}"][own[depth]] += 1
        return own

    labels(sentence)
    return counted


def magnitudes(sentence: Sentence, shape: Shape) -> dict[str, float]:
    """Return the logarithms of what a sentence costs."""
    return {name: math.log2(1 + value) for name, value in measured(sentence, shape)[1]._asdict().items()}


def varied(space: Grammar, architecture: Architecture, seed: Seed) -> Architecture:
    """Return a sentence that differs in one place: a sub-tree drawn anew, put in, or taken out, or a setting changed.

    What surrounds the place keeps its shapes, except around a changed setting.
    """
    rng, old = generator(seed), space.sentence(architecture)
    everything = all_nodes(old, space.input)
    within = [node for node in everything if node.sentence.inner]
    set_ = [node for node in everything if node.sentence.rule in SET]
    kinds = [(_redrawn, everything), (_grown, everything), (_shrunk, within), (_set, set_)]
    for _ in range(TRIES):
        kind, where = kinds[int(rng.integers(len(kinds)))]
        new = kind(space, old, where[int(rng.integers(len(where)))], rng) if where else None
        if new is not None and new != old:
            with suppress(SpaceError, UnknownOption):
                made: Architecture = space.architecture(new, old)
                return made
    return mutate(space, architecture, rng)


@lru_cache(maxsize=4096)
def known_between(before: Shape, after: Shape) -> tuple[Sentence, ...]:
    """Return the known operations, and single computations, that make one shape of another."""
    words = ("same", after.features, "half", "double")
    found: dict[Sentence, None] = {}
    for known in NAMED.values():
        firsts = (1, 2, 4, 8) if "(heads)" in known.about else words
        for settings in product(*[firsts] * known.least) if not known.parts else ():
            with suppress(SpaceError):
                found[known.build(*settings)] = None
    for name in COMPUTATIONS:
        for settings in [(word,) for word in words] if name == "linear" else [()]:
            found[Sentence(name, settings)] = None
    fitting: list[Sentence] = []
    for sentence in found:
        with suppress(SpaceError):
            if sentence != IDENTITY and measured(sentence, before)[0] == after:
                fitting.append(sentence)
    return tuple(fitting)


def _new(space: Grammar, node: Node, rng: np.random.Generator, spent: Cost) -> Sentence | None:
    """Return a sentence for a place: usually a known operation, if any is for those shapes, else drawn."""
    if (known := known_between(node.before, node.after)) and rng.random() < KNOWN:
        return known[int(rng.integers(len(known)))]
    return drawn(space, node, rng, spent)


def _redrawn(space: Grammar, old: Sentence, node: Node, rng: np.random.Generator) -> Sentence | None:
    new = _new(space, node, rng, measured(old, space.input)[1].without(node.cost))
    return None if new is None else replaced(old, node.path, new)


def _grown(space: Grammar, old: Sentence, node: Node, rng: np.random.Generator) -> Sentence | None:
    """Put something before or after a sub-sentence that keeps the shape there, or a way around it.

    Every other time there is a way around what is put in, too: then a network goes on from what it computed, because
    a residual branch begins near zero.
    """
    where = int(rng.integers(3))
    if where == 2:
        return replaced(old, node.path, residual(node.sentence)) if node.before == node.after else None
    place = replace(node, before=node.after) if where else replace(node, after=node.before)
    new = _new(space, place, rng, measured(old, space.input)[1])
    if new in (None, IDENTITY):
        return None
    if rng.random() < 0.5:
        new = residual(new)
    own = node.sentence
    chain = own.parts if own.rule == "sequential" and len(own.parts) < space.most_parts else (own,)
    return replaced(old, node.path, Sentence("sequential", (), (*chain, new) if where else (new, *chain)))


def _shrunk(space: Grammar, old: Sentence, node: Node, rng: np.random.Generator) -> Sentence | None:
    """Leave out a part of a sequence, or put one of its parts in the place of a sub-sentence."""
    inner = node.sentence.inner
    at = int(rng.integers(len(inner)))
    new = inner[at]
    if node.sentence.rule == "sequential" and len(inner) > 2:
        new = node.sentence.with_inner((*inner[:at], *inner[at + 1 :]))
    return replaced(old, node.path, new)


def _set(space: Grammar, old: Sentence, node: Node, rng: np.random.Generator) -> Sentence | None:
    """Change a setting of a sub-sentence, or of all that are equal to it, as a network is made wider."""
    own, words = node.sentence, space.vocabularies
    names = ENDS.get(own.rule, ("repeats" if own.rule == "repeat" else "width",))
    at = int(rng.integers(len(names)))
    setting: Any = words[names[at]][int(rng.integers(len(words[names[at]])))]
    if own.rule in ENDS:
        end = parse(setting)
        return replaced(old, node.path, replace(own, parts=(*own.parts[:-1], end) if at else (end, *own.parts[1:])))
    new = replace(own, settings=(setting,))
    return _everywhere(old, own, new) if rng.random() < 0.5 else replaced(old, node.path, new)


def _everywhere(sentence: Sentence, old: Sentence, new: Sentence) -> Sentence:
    """Return a sentence with one sub-sentence's rule and settings changed wherever they are."""
    inner = tuple(_everywhere(part, old, new) for part in sentence.inner)
    changed = sentence.with_inner(inner) if inner else sentence
    same = (changed.rule, changed.settings) == (old.rule, old.settings)
    return replace(changed, settings=new.settings) if same else changed


def drawn(space: Grammar, node: Node, rng: np.random.Generator, spent: Cost | None = None) -> Sentence | None:
    """Draw a sentence that makes the node's shape after of the one before; None if a single rule cannot.

    `spent` is what the rest of the whole sentence costs: both together are within the limits, as far as shapes allow.
    """
    composer = Composer(space, spent=spent)
    start = Place(
        "0",
        node.before,
        lambda made: Cost() if made == node.after else None,
        len(node.path),
        copies=node.copies,
        uses=node.uses,
    )
    if not composer.ends(start):
        return None
    answers = answered(composer.part(start), lambda question: draw_answer(question, rng))
    sentence: Sentence = space.sentence(Architecture(space.name, (), tuple(answers)))
    return sentence


def crossed(space: Grammar, one: Architecture, other: Architecture, seed: Seed) -> Architecture | None:
    """Return `one` with a sub-tree of `other` that sees the same shape and gives the same; None if there is none."""
    rng, into = generator(seed), space.sentence(one)
    theirs: dict[tuple[Shape, Shape], list[Sentence]] = {}
    for node in nodes(space.sentence(other), space.input):
        theirs.setdefault((node.before, node.after), []).append(node.sentence)
    ours = [node for node in nodes(into, space.input) if node.path and (node.before, node.after) in theirs]
    for number in rng.permutation(len(ours))[:TRIES]:
        node = ours[int(number)]
        given = theirs[node.before, node.after]
        new = given[int(rng.integers(len(given)))]
        if new != node.sentence:
            with suppress(SpaceError, UnknownOption):
                found: Architecture = space.architecture(replaced(into, node.path, new), into)
                if found.answers != other.answers:
                    return found
    return None
