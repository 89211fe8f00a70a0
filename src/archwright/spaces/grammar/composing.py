"""The program of the grammar: which rules fit at a place, and whether what is left can still end within the limits.

Each part is decided at a *place*: with a shape, and with what is left to do. `rest` says what it costs at least to end
the whole sentence once the part has made a shape, or None if it cannot. It looks at one way of ending, always the same
(`closed`), so an option that was offered stays possible: `identity` where the shape may stay, and where branches must
meet or a cell must return its state, a pool, a mean or a linear map.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from archwright.decisions import Answer, Choice
from archwright.sentences.fitting import cell_shape, cell_state
from archwright.sentences.library import parse
from archwright.sentences.rules import (
    COMPOSED_WEIGHTS,
    COMPUTATIONS,
    FRACTIONS,
    LEAVES,
    ROUTES,
    Setting,
    joined,
    resolved,
    split,
)
from archwright.sentences.sentence import Sentence
from archwright.sentences.shapes import MAP, ONE, SEQUENCE, TURNED, Cost, Shape

Grammar: TypeAlias = Any  # `archwright.spaces.grammar.space.Grammar`, which imports this file
Rest: TypeAlias = "Callable[[Shape], Cost | None]"
Made: TypeAlias = "tuple[Sentence, Shape, Cost]"  # a computation, what it makes of a shape, and its cost
Answering: TypeAlias = "Generator[Choice, Any, Shape]"
LEAVE = ("identity", "permute", "col2im")
CLOSING = ("identity", "max", "average", "mean", "linear")  # computations that may end a part, in this order
# Random sentences branch out near their root and end below: composed rules are so many times as likely at each depth.
# From the last number on a part has less than one part in the mean, so that sentences are short without any limit.
NEAR_ROOT = (60.0, 12.0, 8.0, 5.0, 3.0, 2.0, 1.0)
# What is asked with a rule: its setting, or what it has at its ends. The names of the questions, and but for "times" of
# their vocabularies.
SETTINGS = {"linear": "width", "recurrence": "width", "repeat": "times"}
ENDS = {"branching": ("split", "join"), "routing": ("enter", "leave")}
OFTEN = ("copies", "abreast", "uses", "branches")


@dataclass(frozen=True, eq=False)
class Place:
    """Where a part stands: what it is given, what is left to do, and how often it is there.

    `copies` have weights of their own, `abreast` are computed together, and weights are used `uses` times for an image.
    `branches` are those abreast, without those of single channels.
    """

    at: str
    shape: Shape
    rest: Rest
    depth: int = 0
    copies: int = 1
    abreast: int = 1
    uses: int = 1
    branches: int = 1

    def inside(self, number: int, shape: Shape, rest: Rest, **more: int) -> Place:
        """Return the place of a part of this one, `more` often."""
        known: dict[Shape, Cost | None] = {}

        def remembered(made: Shape) -> Cost | None:
            if made not in known:
                known[made] = rest(made)
            return known[made]

        often = {name: getattr(self, name) * more.get(name, 1) for name in OFTEN}
        return Place(f"{self.at}.{number}", shape, remembered, self.depth + 1, **often)


class Computing:
    """What single computations make of a shape, by rule, and those that may end a part, one for each shape made."""

    def __init__(self, rules: tuple[str, ...], widths: tuple[Setting, ...]) -> None:
        self._rules, self._widths = rules, widths
        self._known: dict[Shape, tuple[dict[str, list[Made]], list[tuple[Shape, Cost]]]] = {}

    def of(self, shape: Shape) -> tuple[Mapping[str, Sequence[Made]], Sequence[tuple[Shape, Cost]]]:
        if shape not in self._known:
            by_rule: dict[str, list[Made]] = {}
            for name in self._rules:
                for settings in [(width,) for width in self._widths] if name == "linear" else [()]:
                    made = COMPUTATIONS[name].after(shape, *settings) if name in COMPUTATIONS else None
                    if made is not None:
                        cost = COMPUTATIONS[name].cost(shape, made).and_(ONE)
                        by_rule.setdefault(name, []).append((Sentence(name, settings), made, cost))
            endings: dict[Shape, Cost] = {}
            for name in CLOSING:
                for _, made, cost in by_rule.get(name, ()):
                    endings.setdefault(made, cost)
            self._known[shape] = by_rule, [*endings.items()]
        return self._known[shape]


@lru_cache(maxsize=65536)
def joins_of(names: tuple[str, ...], shapes: tuple[Shape, ...]) -> tuple[tuple[str, Shape, Cost], ...]:
    """Return the joins that fit branches of these shapes, what they make, and its cost."""
    found = ((name, joined(name, shapes)) for name in names)
    return tuple([(name, *made) for name, made in found if made is not None])


@lru_cache(maxsize=64)
def computing(rules: tuple[str, ...], widths: tuple[Setting, ...]) -> Computing:
    """Return what computations make, for all spaces of these rules and widths."""
    return Computing(rules, widths)


class Composer:
    """One run of the program; `spent` is what the rules so far cost.

    With `known` answers only the rules among them are offered, if they may be: a sentence is read sooner.
    """

    def __init__(self, space: Grammar, known: Mapping[str, Any] | None = None) -> None:
        self._known = known
        self.space, self.limits, self.spent = space, space.limits, Cost()
        self.values = max(space.values, space.input.size)  # an image may always stay as it is
        self.widths: tuple[Setting, ...] = (*FRACTIONS, *space.widths)
        self._computing = computing(space.rules, self.widths)
        # Most places may keep their shape: then these are open, and what identities inside them cost.
        able = {
            "sequential": [True] * 3,
            "repeat": [bool(space.repetitions)] * 3,
            "branching": ["clone(2)" in space.splits and "add" in space.joins] * 3,
            "routing": ["im2col(1, 1)" in space.enters, *["permute" in space.enters] * 2],
        }
        forms = (MAP, SEQUENCE, TURNED)
        self._keeping = {
            (r, f): Cost(operations=3) for r, yes in able.items() for f, y in zip(forms, yes, strict=True) if y
        }

    def program(self) -> Generator[Choice, Any, None]:
        yield from self.part(Place("0", self.space.input, lambda shape: Cost()))

    def part(self, place: Place) -> Answering:
        """Ask for one part; return the shape that it makes."""
        known = self._known
        rules = tuple(
            [r for r in self.space.rules if (known is None or r == known.get(place.at)) and self.opens(place, r)]
        )
        often = NEAR_ROOT[min(place.depth, len(NEAR_ROOT) - 1)]
        weights = tuple(
            [often * COMPOSED_WEIGHTS[r] if r in COMPOSED_WEIGHTS else COMPUTATIONS[r].weight for r in rules]
        )
        rule = yield from asked(place.at, rules, "rule", weights=weights)
        if rule in COMPOSED_WEIGHTS:
            self.spent = self.spent.and_(ONE)
            made: Shape = yield from getattr(self, f"_{rule}")(place)
            return made
        chosen = Sentence(rule)
        if rule == "linear":
            fitting = tuple(
                [one.settings[0] for one, made, cost in self._made(place, rule) if self.fits(place, made, cost)]
            )
            chosen = Sentence(rule, ((yield from asked(f"{place.at}/width", fitting, "width")),))
        made, cost = next((made, cost) for one, made, cost in self._made(place, rule) if one == chosen)
        self.spent = self.spent.and_(cost.times(place.copies, place.uses))
        return made

    def _made(self, place: Place, rule: str) -> Sequence[Made]:
        return self._computing.of(place.shape)[0].get(rule, ())

    def opens(self, place: Place, rule: str) -> bool:
        """Return whether a part may have this rule."""
        if rule in COMPUTATIONS:
            return any(self.fits(place, made, cost) for _, made, cost in self._made(place, rule))
        if place.depth + 1 >= self.space.deepest:
            return False
        shape = place.shape
        keeping = self._keeping.get((rule, shape.form)) if shape.window == 1 else None
        if rule == "branching" and 2 * place.branches > self.space.branches:
            return False
        if keeping and 2 * shape.size * place.abreast <= self.values and self.affordable(keeping, place.rest(shape)):
            return True
        before, self.spent = self.spent, self.spent.and_(ONE)
        found = any(True for _ in getattr(self, f"_{rule}_options")(place))
        self.spent = before
        return found

    def fits(self, place: Place, made: Shape, cost: Cost) -> bool:
        """Return whether a part may be a computation that makes this shape at this cost."""
        if made.size * place.abreast > self.values:
            return False
        return self.affordable(cost.times(place.copies, place.uses), place.rest(made))

    def affordable(self, cost: Cost, rest: Cost | None) -> bool:
        return rest is not None and self.spent.and_(cost).and_(rest).within(self.limits)

    def closed(self, place: Place, shape: Shape | None = None) -> Cost | None:
        """Return what it costs to end a part with the first computation that may, and then the sentence."""
        for made, cost in self._computing.of(shape or place.shape)[1]:
            if made.size * place.abreast <= self.values:
                rest = place.rest(made)
                if rest is not None:
                    return cost.times(place.copies, place.uses).and_(rest)
        return None

    def ends(self, place: Place | None) -> bool:
        """Return whether there is such a place, and a part can end there."""
        return place is not None and self.affordable(Cost(), self.closed(place))

    # sequential: parts may end wherever one more computation can end the sequence.

    def _sequential_options(self, place: Place) -> Iterator[int]:
        least = self.closed(place)
        for count in range(2, self.space.most_parts + 1):
            if self.affordable(Cost(operations=count - 1), least):
                yield count

    def _sequential(self, place: Place) -> Answering:
        options = tuple(self._sequential_options(place))
        halving = tuple([2.0**-count for count in options])
        count = yield from asked(f"{place.at}/parts", options, "parts", ordered=True, weights=halving)
        shape = place.shape
        for number in range(count - 1):

            def rest(made: Shape, between: int = count - 2 - number) -> Cost | None:
                least = self.closed(place, made)
                return None if least is None else least.and_(Cost(operations=between))

            shape = yield from self.part(place.inside(number, shape, rest))
        return (yield from self.part(place.inside(count - 1, shape, place.rest)))

    # repeat: its part keeps the shape.

    def _repeated(self, place: Place, times: int) -> Place:
        shape, rest = place.shape, place.rest
        return place.inside(0, shape, lambda made: rest(made) if made == shape else None, copies=times, uses=times)

    def _repeat_options(self, place: Place) -> Iterator[int]:
        for times in self.space.repetitions:
            if self.ends(self._repeated(place, times)):
                yield times

    def _repeat(self, place: Place) -> Answering:
        options = tuple(self._repeat_options(place))
        times = yield from asked(f"{place.at}/times", options, "repeats", ordered=True)
        return (yield from self.part(self._repeated(place, times)))

    # routing: what it ends with is asked first, so that its part ends where that fits.

    def _routed(self, place: Place, enter: str, leave: str) -> Place | None:
        way, end = parse(enter), ROUTES[leave]
        entered = ROUTES[way.rule].after(place.shape, *way.settings)
        if entered is None:
            return None

        def rest(made: Shape) -> Cost | None:
            left = end.after(made)
            return None if left is None else place.rest(left)

        return place.inside(0, entered, rest)

    def _leaves(self, place: Place, enter: str) -> Iterator[str]:
        for leave in LEAVES[parse(enter).rule]:
            if self.ends(self._routed(place, enter, leave)):
                yield leave

    def _routing_options(self, place: Place) -> Iterator[str]:
        for enter in self.space.enters:
            if any(True for _ in self._leaves(place, enter)):
                yield enter

    def _routing(self, place: Place) -> Answering:
        enters = tuple(self._routing_options(place))
        enter = yield from asked(f"{place.at}/enter", enters, "enter")
        leaves = tuple([leave for leave in LEAVE if leave in {*self._leaves(place, enter)}])
        leave = yield from asked(f"{place.at}/leave", leaves, "leave")
        inner = self._routed(place, enter, leave)
        assert inner is not None
        left = ROUTES[leave].after((yield from self.part(inner)))
        assert left is not None
        return left

    # branching: two parts of their own, the second ends where the first did, or at one position; else one for all.

    def _ended(self, place: Place, shapes: tuple[Shape, ...]) -> Iterator[tuple[str, Shape, Cost, Cost | None]]:
        """Yield the joins that fit branches of these shapes, with the shape, its cost, and that of the rest."""
        for name, made, cost in joins_of(self.space.joins, shapes):
            if made.size * place.abreast <= self.values:
                yield name, made, cost.times(place.copies, place.uses), place.rest(made)

    def _least(self, place: Place, shapes: tuple[Shape, ...]) -> Cost | None:
        return next((cost.and_(rest) for _, _, cost, rest in self._ended(place, shapes) if rest is not None), None)

    def _second(self, place: Place, given: Shape, first: Shape) -> Place:
        return place.inside(1, given, lambda made: self._least(place, (first, made)))

    def _first(self, place: Place, word: str) -> Place | None:
        way = parse(word)
        found = split(way.rule, way.settings[0], place.shape)
        if found is None or found[0] < 2 or (count := found[0]) * found[1].size * place.abreast > self.values:
            return None
        given, counted = found[1], 1 if way.settings[0] == "channels" else count
        if place.branches * counted > self.space.branches:
            return None
        if way.settings[0] == 2:
            return place.inside(0, given, lambda made: self.closed(self._second(place, given, made)))
        often = {"copies": count, "abreast": count, "uses": count, "branches": counted}
        return place.inside(0, given, lambda made: self._least(place, (made,) * count), **often)

    def _branching_options(self, place: Place) -> Iterator[str]:
        for word in self.space.splits:
            if self.ends(self._first(place, word)):
                yield word

    def _branching(self, place: Place) -> Answering:
        words = tuple(self._branching_options(place))
        word = yield from asked(f"{place.at}/split", words, "split")
        first = self._first(place, word)
        assert first is not None
        shapes: tuple[Shape, ...] = ((yield from self.part(first)),)
        way = parse(word)
        if way.settings[0] == 2:
            shapes = (shapes[0], (yield from self.part(self._second(place, first.shape, shapes[0]))))
        else:
            shapes *= first.abreast // place.abreast
        ends = {
            name: (made, cost) for name, made, cost, rest in self._ended(place, shapes) if self.affordable(cost, rest)
        }
        names = tuple([name for name in self.space.joins if name in ends])
        made, cost = ends[(yield from asked(f"{place.at}/join", names, "join"))]
        self.spent = self.spent.and_(cost)
        return made

    # recurrence: its cell is given a position and the state, and returns a state.

    def _cell(self, place: Place, width: Setting) -> Place | None:
        shape, wide = place.shape, resolved(place.shape, width)
        times = max(1, place.uses // place.abreast)  # one after the other
        if wide is None or shape.form != SEQUENCE or not 1 < shape.positions <= self.space.steps // times:
            return None
        made = shape.with_features(wide)
        if made.size * place.abreast > self.values:
            return None
        rest, state = place.rest, cell_state(wide)
        given = cell_shape(shape, wide)
        return place.inside(0, given, lambda end: rest(made) if end == state else None, uses=shape.positions)

    def _recurrence_options(self, place: Place) -> Iterator[Setting]:
        for width in self.widths:
            if self.ends(self._cell(place, width)):
                yield width

    def _recurrence(self, place: Place) -> Answering:
        options = tuple(self._recurrence_options(place))
        width = yield from asked(f"{place.at}/width", options, "width")
        cell = self._cell(place, width)
        assert cell is not None
        state = yield from self.part(cell)
        return place.shape.with_features(state.features)


def answered(program: Generator[Choice, Any, Any], answer: Callable[[Choice], Answer]) -> list[tuple[str, Answer]]:
    """Run a program, or part of one, and return the answers."""
    answers: list[tuple[str, Answer]] = []
    with suppress(StopIteration):
        question = next(program)
        while True:
            answers.append((question.name, answer(question)))
            question = program.send(answers[-1][1])
    return answers


def asked(name: str, options: tuple[Any, ...], vocabulary: str, **more: Any) -> Generator[Choice, Any, Any]:
    """Ask for one of the options; the program branches here (`explore.count` sees the comparison)."""
    answer = yield Choice(name, options, vocabulary, **more)
    return next(option for option in options if option == answer)
