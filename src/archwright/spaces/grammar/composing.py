"""The program of the grammar: which rules fit at a place, and whether what is left can still end within the limits.

Each part is decided at a *place*: with a shape, and with what is left to do. `rest` says what it costs at least to end
the whole sentence once the part has made a shape, or None if it cannot. It looks at one way of ending, always the same
(`closed`), so an option that was offered stays possible: `identity` where the shape may stay, and where branches must
meet or a cell must return its state, a pool, a mean or a linear map.

Where a sentence must do some work at least, a computation may end a part only if that is done, or if what follows has
`room` for it; where none may, all that fit are offered.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
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
    resolved,
    split,
)
from archwright.sentences.shapes import CALLING, MAP, ONE, SEQUENCE, TURNED, WRITING, Cost, Limits, Shape
from archwright.spaces.grammar.places import Made, Place, computing, joins_of

Grammar: TypeAlias = Any  # `archwright.spaces.grammar.space.Grammar`, which imports this file
Answering: TypeAlias = "Generator[Choice, Any, Shape]"
LEAVE = ("identity", "permute", "col2im")
# Random sentences branch out near their root and end below: composed rules are so many times as likely at each depth.
# From the last number on a part has less than one part in the mean, so that sentences are short without any limit.
NEAR_ROOT = (60.0, 12.0, 8.0, 5.0, 3.0, 2.0, 1.0)
# What is asked with a rule: its setting, or what it has at its ends. The names of the questions, and but for "times" of
# their vocabularies.
SETTINGS = {"linear": "width", "recurrence": "width", "repeat": "times"}
ENDS = {"branching": ("split", "join"), "routing": ("enter", "leave")}
FIRST = {**SETTINGS, "sequential": "parts", "branching": "split", "routing": "enter"}  # the first of them


class Composer:
    """One run of the program; `spent` is what the rules so far cost, and what is there besides.

    With `known` answers only they are offered, if they may be: a sentence is read sooner. What comes before the part at
    the path `changed` has been read in another sentence.
    """

    def __init__(
        self,
        space: Grammar,
        known: Mapping[str, Any] | None = None,
        spent: Cost | None = None,
        changed: tuple[int, ...] = (),
    ) -> None:
        self._known, self._changed = known, changed
        self.space, self.spent = space, spent or Cost()
        self.limits: Limits = space.limits
        self._least: int = space.least_work
        self.values = max(space.values, space.input.size)  # an image may always stay as it is
        self.widths: tuple[Setting, ...] = (*FRACTIONS, *space.widths)
        self._computing = computing(space.rules, self.widths)
        self._working = False  # only what does enough work is looked for
        self._options: dict[tuple[str, str, bool], tuple[Any, ...]] = {}  # of a composed rule at a place
        # Most places may keep their shape: then these are open.
        able = {
            "sequential": [True] * 3,
            "repeat": [bool(space.repetitions)] * 3,
            "branching": ["clone(2)" in space.splits and "add" in space.joins] * 3,
            "routing": ["im2col(1, 1)" in space.enters, *["permute" in space.enters] * 2],
        }
        forms = (MAP, SEQUENCE, TURNED)
        self._keeping = {(r, f) for r, yes in able.items() for f, y in zip(forms, yes, strict=True) if y}

    def program(self) -> Generator[Choice, Any, None]:
        yield from self.part(Place("0", self.space.input, lambda shape: Cost()))

    def part(self, place: Place) -> Answering:
        """Ask for one part; return the shape that it makes."""
        read = place.path < self._changed
        rules = (self._known[place.at],) if read and self._known else self._rules(place)
        often = NEAR_ROOT[min(place.depth, len(NEAR_ROOT) - 1)]
        weights = tuple(
            [often * COMPOSED_WEIGHTS[r] if r in COMPOSED_WEIGHTS else COMPUTATIONS[r].weight for r in rules]
        )
        rule = yield from asked(place.at, rules, "rule", weights=weights)
        if rule in COMPOSED_WEIGHTS:
            self.spent = self.spent.and_(ONE)
            made: Shape = yield from getattr(self, f"_{rule}")(place)
            return made
        found = [one for one in self._made(place, rule) if read or self.fits(place, *one[1:])]
        if rule == "linear":
            fitting = tuple([one.settings[0] for one, _, _ in found])
            width = yield from asked(f"{place.at}/width", fitting, "width")
            found = [one for one in found if one[0].settings[0] == width]
        _, made, cost = found[0]
        self.spent = self.spent.and_(cost.times(place.copies, place.uses))
        return made

    def _rules(self, place: Place) -> tuple[str, ...]:
        """Return the rules that a part may have: with which enough work is done, or else any."""
        known = self._known
        for working in (True, False)[not self._least :]:
            self._working = working
            rule = "" if known is None else str(known.get(place.at))
            if rule in self.space.rules and self.opens(place, rule):
                return (rule,)
            if known is None or working:
                self._known = None  # a known rule with which too little is done may be there if all are like that
                rules = tuple([rule for rule in self.space.rules if self.opens(place, rule)])
                self._known = known
                if rules:
                    return rules
        return ()

    def _looked(self, name: str, options: Sequence[Any]) -> Sequence[Any]:
        """Return the options that are looked at: the known answer if it is one of them, or all."""
        answer = None if self._known is None else self._known.get(name)
        return (answer,) if answer in options else options

    def _made(self, place: Place, rule: str) -> Sequence[Made]:
        found = self._computing.of(place.shape)[0].get(rule, ())
        if rule != "linear" or self._known is None:
            return found
        width = self._known.get(f"{place.at}/width")
        return [one for one in found if one[0].settings[0] == width] or found

    def opens(self, place: Place, rule: str) -> bool:
        """Return whether a part may have this rule."""
        if rule in COMPUTATIONS:
            return any(self.fits(place, made, cost) for _, made, cost in self._made(place, rule))
        many = rule == "branching" and 2 * place.branches > self.space.branches
        if place.depth + 1 >= self.space.deepest or many:
            return False
        shape = place.shape
        if shape.window == 1 and (rule, shape.form) in self._keeping and 2 * shape.size * place.abreast <= self.values:
            inside = Cost(
                operations=3, written=(shape.size + CALLING) * place.uses if rule == "branching" else 0
            )  # of identities
            rest = place.rest(shape)
            if rest is not None and self.affordable(inside, rest) and self._enough(inside, rest, place, shape):
                return True
        before, self.spent = self.spent, self.spent.and_(ONE)
        found = self._offered(place, rule)
        self.spent = before
        return bool(found)

    def _offered(self, place: Place, rule: str) -> tuple[Any, ...]:
        """Return what may be answered to the first question of a composed rule, which is counted already."""
        key = place.at, rule, self._working
        if self._known and place.path < self._changed:
            return (self._known[f"{place.at}/{FIRST[rule]}"],)
        if key not in self._options:
            self._options[key] = tuple(getattr(self, f"_{rule}_options")(place))
        return self._options[key]

    def fits(self, place: Place, made: Shape, cost: Cost) -> bool:
        """Return whether a part may be a computation that makes this shape at this cost."""
        if made.size * place.abreast > self.values:
            return False
        cost, rest = cost.times(place.copies, place.uses), place.rest(made)
        fitting = rest is not None and self.affordable(cost, rest) and self._enough(cost, rest, place, made)
        return bool(fitting)

    def affordable(self, cost: Cost, rest: Cost) -> bool:
        (p, m, o, w), (a, b, c, d), (e, f, g, h), most = self.spent, cost, rest, self.limits
        if p + a + e > most.parameters or (multiplied := m + b + f) > most.multiply_adds:
            return False
        return multiplied + WRITING * (w + d + h) <= most.work and o + c + g <= most.operations

    def _enough(self, cost: Cost, rest: Cost, place: Place, made: Shape, *, inside: bool = False) -> bool:
        """Return whether enough work may be done: at this cost, with the rest, and after a part that makes this shape.

        `inside`: or in the part itself.
        """
        lacking = self._least - self.spent.work - cost.work - rest.work
        if not self._working or lacking <= 0:
            return True
        return (inside and self.room(place, made) >= lacking) or self._beyond(place, made) >= lacking

    def room(self, place: Place, shape: Shape) -> int:
        """Return about how much work a part at a place has room for, given a shape.

        That is the work of two wide linear maps after each other, before what ends the part; or of one, where there is
        no depth for two.
        """
        if shape not in place.rooms:
            deeper = place.depth + 1 < self.space.deepest and "sequential" in self.space.rules
            work, made = self._widest(shape, deeper, place.copies, place.uses, place.abreast)
            ends = work and (self.closed(place, made) if deeper else place.rest(made)) is not None
            place.rooms[shape] = work if ends else 0
        return place.rooms[shape]

    def _widest(self, shape: Shape, deeper: bool, copies: int, uses: int, abreast: int) -> tuple[int, Shape]:
        """Return the most work that two linear maps after each other may do, or one, and the shape that they make."""
        most, found = min(self.limits.multiply_adds, self.limits.work), (0, shape)
        for width in self.space.widths if "linear" in self.space.rules else ():
            weights = (shape.features + (width if deeper else 0)) * width
            work, made = weights * shape.positions * uses, shape.with_features(width)
            fits = made.size * abreast <= self.values and weights * copies <= self.limits.parameters
            if fits and found[0] < work <= most:
                found = work, made
        return found

    def _beyond(self, place: Place, made: Shape) -> int:
        """Return about how much work there is room for after a part, once it has made a shape."""
        return max(place.after(made), self.room(place, made) if place.again else 0)

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
        if place is None or (least := self.closed(place)) is None or not self.affordable(Cost(), least):
            return False
        return self._enough(Cost(), least, place, place.shape, inside=True)

    # sequential: parts may end wherever one more computation can end the sequence.

    def _sequential_options(self, place: Place) -> Iterator[int]:
        least = self.closed(place)
        if least is None or not self._enough(Cost(), least, place, place.shape, inside=True):
            return
        for count in self._looked(f"{place.at}/parts", range(2, self.space.most_parts + 1)):
            if self.affordable(Cost(operations=count - 1), least):
                yield count

    def _sequential(self, place: Place) -> Answering:
        options = self._offered(place, "sequential")
        halving = tuple([2.0**-count for count in options])
        count = yield from asked(f"{place.at}/parts", options, "parts", ordered=True, weights=halving)
        shape, after = place.shape, lambda made: self._beyond(place, made)
        for number in range(count - 1):

            def rest(made: Shape, between: int = count - 2 - number) -> Cost | None:
                least = self.closed(place, made)
                return None if least is None else least.and_(Cost(operations=between))

            shape = yield from self.part(place.inside(number, shape, rest, after, again=True))
        return (yield from self.part(place.inside(count - 1, shape, place.rest, after)))

    # repeat: its part keeps the shape.

    def _repeated(self, place: Place, times: int) -> Place:
        shape, rest = place.shape, place.rest
        kept, after = lambda made: rest(made) if made == shape else None, lambda made: self._beyond(place, shape)
        return place.inside(0, shape, kept, after, copies=times, uses=times)

    def _repeat_options(self, place: Place) -> Iterator[int]:
        for times in self._looked(f"{place.at}/times", self.space.repetitions):
            if self.ends(self._repeated(place, times)):
                yield times

    def _repeat(self, place: Place) -> Answering:
        times = yield from asked(f"{place.at}/times", self._offered(place, "repeat"), "repeats", ordered=True)
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

        def after(made: Shape) -> int:
            left = end.after(made)
            return 0 if left is None else self._beyond(place, left)

        return place.inside(0, entered, rest, after)

    def _leaves(self, place: Place, enter: str) -> Iterator[str]:
        for leave in self._looked(f"{place.at}/leave", LEAVES[parse(enter).rule]):
            if place.path < self._changed or self.ends(self._routed(place, enter, leave)):
                yield leave

    def _routing_options(self, place: Place) -> Iterator[str]:
        for enter in self._looked(f"{place.at}/enter", self.space.enters):
            if any(True for _ in self._leaves(place, enter)):
                yield enter

    def _routing(self, place: Place) -> Answering:
        enter = yield from asked(f"{place.at}/enter", self._offered(place, "routing"), "enter")
        leaves = tuple([leave for leave in LEAVE if leave in {*self._leaves(place, enter)}])
        leave = yield from asked(f"{place.at}/leave", leaves, "leave")
        inner = self._routed(place, enter, leave)
        assert inner is not None
        left = ROUTES[leave].after((yield from self.part(inner)))
        assert left is not None
        return left

    # branching: two parts of their own, the second ends where the first did, or at one position; else one for all.

    def _ended(
        self, place: Place, shapes: tuple[Shape, ...], times: int
    ) -> Iterator[tuple[str, Shape, Cost, Cost | None]]:
        """Yield the joins that fit branches of these shapes, with the shape, its cost, and that of the rest."""
        for name, made, cost in joins_of(self.space.joins, shapes, times):
            if made.size * place.abreast <= self.values:
                yield name, made, cost.times(place.copies, place.uses), place.rest(made)

    def _meeting(self, place: Place, shapes: tuple[Shape, ...], times: int = 1) -> Cost | None:
        ends = self._ended(place, shapes, times)
        return next((cost.and_(rest) for _, _, cost, rest in ends if rest is not None), None)

    def _second(self, place: Place, given: Shape, first: Shape) -> Place:
        met, after = lambda made: self._meeting(place, (first, made)), lambda made: self._beyond(place, first)
        return place.inside(1, given, met, after)

    def _first(self, place: Place, word: str) -> Place | None:
        way = parse(word)
        found = split(way.rule, way.settings[0], place.shape)
        if found is None or found[0] < 2 or (count := found[0]) * found[1].size * place.abreast > self.values:
            return None
        given, counted = found[1], 1 if way.settings[0] == "channels" else count
        if place.branches * counted > self.space.branches:
            return None
        if way.settings[0] == 2:

            def after(made: Shape) -> int:
                return max(self._beyond(place, made), self.room(place, given))

            return place.inside(0, given, lambda made: self.closed(self._second(place, given, made)), after)
        met, following = lambda made: self._meeting(place, (made,), count), lambda made: self._beyond(place, made)
        often: dict[str, Any] = {"copies": count, "abreast": count, "uses": count, "branches": counted}
        return place.inside(0, given, met, following, **often)

    def _branching_options(self, place: Place) -> Iterator[str]:
        for word in self._looked(f"{place.at}/split", self.space.splits):
            if self.ends(self._first(place, word)):
                yield word

    def _branching(self, place: Place) -> Answering:
        word = yield from asked(f"{place.at}/split", self._offered(place, "branching"), "split")
        first = self._first(place, word)
        assert first is not None
        shapes: tuple[Shape, ...] = ((yield from self.part(first)),)
        times = first.abreast // place.abreast
        if parse(word).settings[0] == 2:
            shapes, times = (shapes[0], (yield from self.part(self._second(place, first.shape, shapes[0])))), 1
        ended = self._ended(place, shapes, times)
        ends = {
            name: (made, cost) for name, made, cost, rest in ended if rest is not None and self.affordable(cost, rest)
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
        ended, after = lambda end: rest(made) if end == state else None, lambda end: self._beyond(place, made)
        return place.inside(0, cell_shape(shape, wide), ended, after, uses=shape.positions)

    def _recurrence_options(self, place: Place) -> Iterator[Setting]:
        for width in self._looked(f"{place.at}/width", self.widths):
            if self.ends(self._cell(place, width)):
                yield width

    def _recurrence(self, place: Place) -> Answering:
        width = yield from asked(f"{place.at}/width", self._offered(place, "recurrence"), "width")
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
