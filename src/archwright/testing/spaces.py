"""The laws of every space: `archwright.space.Space`."""

from __future__ import annotations

import dataclasses
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from archwright.errors import TooMany
from archwright.explore import fixed_decisions
from archwright.space import (
    Anchor,
    Architecture,
    Open,
    Space,
    Task,
    TextTask,
    Walk,
    check,
    count,
    decisions_of,
    draw_answer,
    enumerate_space,
    generator,
    replay,
    sample,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

ENUMERABLE = 20_000  # up to so many architectures a space is enumerated
COUNTED = 500  # a space is counted where its program has to run so often at most
BATCH = 3


class SpaceContract(ABC):
    """Tests of a space. Make it small: a few architectures are sampled, and their networks are built and run.

    `task` is what its networks are built for: images of 4 classes. For language models see `TextSpaceContract`; for
    another kind of data override `task` and `outputs`.
    """

    task: Any = Task(channels=2, height=8, width=9, classes=4)
    samples = 4

    @abstractmethod
    def make(self) -> Space:
        """Make the space; all that its networks draw, they draw from torch's global generator."""

    def outputs(self, network: Any, *architecture: Architecture) -> list[Tensor]:
        """Return the logits of one minibatch, and those of an auxiliary head; a child is given no architecture."""
        import torch

        x = torch.randn(BATCH, self.task.channels, self.task.height, self.task.width)
        auxiliary = getattr(network, "with_auxiliary", None)
        logits, *more = auxiliary(x, *architecture) if auxiliary is not None else (network(x, *architecture),)
        assert logits.shape == (BATCH, self.task.classes)
        return [logits, *(output for output in more if output is not None)]

    def test_an_architecture_depends_on_the_seed_and_belongs_to_the_space(self) -> None:
        space = self.make()
        assert self.make() == space
        assert hash(self.make()) == hash(space)
        for seed, (_, architecture) in enumerate(self._sampled()):
            assert sample(self.make(), seed) == architecture, "decide() asks something else each time"
            assert check(space, architecture) == replay(space, dict(reversed(architecture.answers))) == architecture

    def test_an_architecture_survives_json(self) -> None:
        for _, architecture in self._sampled():
            back = Architecture.from_json(json.loads(json.dumps(architecture.to_json(), sort_keys=True)))
            assert (back, back.id) == (architecture, architecture.id)
            assert [type(answer) for _, answer in back.answers] == [type(answer) for _, answer in architecture.answers]

    def test_decide_reads_only_the_fields_that_are_stored(self) -> None:
        space = self.make()
        missing = set().union(*(fields_read(space, seed) for seed in range(3))) - set(space.reads)
        assert not missing, f"decide() depends on {sorted(missing)}: add them to `reads`"

    def test_it_is_counted_right(self) -> None:
        """`is` and `type` cannot be noticed in a program: compare answers with `==`."""
        space = self.make()
        fixed = fixed_decisions(space)
        for _, architecture in self._sampled() if fixed is not None else ():
            asked = tuple(decisions_of(space, architecture))
            assert asked == fixed, f"what is asked depends on answers that decide() does not compare: {asked}"
        with suppress(TooMany):
            counted = count(space, COUNTED)
            if counted <= ENUMERABLE:
                everything = list(enumerate_space(space))
                assert len(set(everything)) == len(everything) == counted

    def test_it_grows_within_its_vocabularies(self) -> None:
        space = self.make()
        for asked in (0, 1, 10, 1_000, 100_000):
            grown = space.grown(asked)
            assert grown.vocabularies == space.vocabularies, "a policy cannot follow a vocabulary that changes"
            architecture = sample(grown, 0)
            check(space.for_architecture(architecture), architecture)

    def test_a_delivered_model_is_of_the_same_space(self) -> None:
        for space, architecture in self._sampled():
            check(space.final(), architecture)

    def test_known_networks_are_near_themselves(self) -> None:
        space = self.make()
        known = list(space.known(0.25).values())
        near = space.near(known, 2.0)
        assert near.vocabularies == space.vocabularies, "a policy cannot follow a vocabulary that changes"
        for architecture in known:
            replay(near, architecture.answers)

    def test_features_are_numbers_and_a_recipe_has_known_fields(self) -> None:
        from archwright.training.recipe import Recipe

        for space, architecture in self._sampled():
            counts = space.features(architecture).values()
            assert all(math.isfinite(number) for multiset in counts for number in multiset.values())
            dataclasses.replace(Recipe(), **space.recipe(architecture))

    def test_magnitudes_are_finite_and_have_the_same_names_for_all(self) -> None:
        found = [space.magnitudes(architecture) for space, architecture in self._sampled()]
        assert len({tuple(one) for one in found}) == 1
        assert all(math.isfinite(number) for one in found for number in one.values())

    def test_every_child_trains_a_step(self) -> None:
        for space, architecture in self._sampled(built=True):
            network = self._network(space, Open.only(space, architecture)).train()
            outputs = self._run(network)
            assert all(output.isfinite().all() for output in outputs)
            trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
            unused = trained - _gradients(network, outputs).keys()
            assert not unused, f"{architecture.id}: parameters that nothing reads: {sorted(unused)}"

    def test_a_child_is_its_supernet_with_the_rest_taken_away(self) -> None:
        """For spaces that share weights: the same parameters by name, the same outputs and gradients to the bit."""
        from torch.testing import assert_close

        space = self.make()
        if not space.shares_weights:
            return
        shared = self._network(space, Open.all(space))
        weights = shared.state_dict()
        for _, architecture in self._sampled(built=True):
            alone = self._network(space, Open.only(space, architecture))
            names = dict(alone.named_parameters()).keys()
            missing = names - dict(shared.named_parameters()).keys()
            assert not missing, f"the supernet has no parameters {sorted(missing)}"
            alone.load_state_dict({name: weights[name] for name in alone.state_dict()})
            for training in (False, True):
                ours, theirs = self._run(shared.train(training), architecture), self._run(alone.train(training))
                assert_close(ours, theirs, rtol=0, atol=0)
            shared.zero_grad()
            reached, expected = _gradients(shared, ours), _gradients(alone, theirs)
            assert reached.keys() == names, f"the pass of one architecture reaches {sorted(reached.keys() ^ names)}"
            assert_close(reached, expected, rtol=0, atol=0)

    def test_weights_of_one_stand_for_their_architecture(self) -> None:
        for space, architecture in self._sampled() if self.make().mixes else ():
            soft = space.one_hot(architecture)
            assert {name: len(weights) for name, weights in soft.items()} == {
                name: len(choices) for name, choices in space.mixture.items()
            }
            assert space.discrete(soft) == architecture

    def test_a_mixture_under_weights_of_one_is_the_child(self) -> None:
        """For spaces that mix: the same parameters by name, the same outputs, up to the order of sums."""
        import torch
        from torch.testing import assert_close

        space = self.make()
        if not space.mixes:
            return
        mixture = self._network(space, Open.mixture(space))
        weights = mixture.state_dict()
        for _, architecture in self._sampled(built=True):
            alone = self._network(space, Open.only(space, architecture))
            missing = alone.state_dict().keys() - weights.keys()
            assert not missing, f"the mixture has no parameters {sorted(missing)}"
            alone.load_state_dict({name: weights[name] for name in alone.state_dict()})
            soft: Any = {name: torch.tensor(values) for name, values in space.one_hot(architecture).items()}
            for training in (False, True):
                ours = self._run(mixture.train(training), soft, progress=0.0)
                assert_close(ours, self._run(alone.train(training), progress=0.0), rtol=1e-4, atol=1e-5)

    def _sampled(self, built: bool = False) -> Iterator[tuple[Space, Architecture]]:
        """Return the space with each sample; none if networks are to be `built` and the space describes none."""
        space = self.make()
        samples = 0 if built and type(space).network is Space.network else self.samples
        return ((space, sample(space, seed)) for seed in range(samples))

    def _network(self, space: Space, open: Open) -> nn.Module:
        import torch

        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            return space.network(open, self.task)

    def _run(self, network: Any, *architecture: Architecture, progress: float = 1.0) -> list[Tensor]:
        """Return the outputs under one draw of dropout; drop path grows with `progress`."""
        import torch

        if hasattr(network, "set_progress"):
            network.set_progress(progress)
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            return self.outputs(network, *architecture)


class TextSpaceContract(SpaceContract):
    """Tests of a space of language models."""

    task = TextTask(vocabulary=30)

    def outputs(self, network: Any, *architecture: Architecture) -> list[Tensor]:
        import torch

        tokens = torch.randint(self.task.vocabulary, (5, BATCH))
        logits, _ = network(tokens, network.start(BATCH), *architecture)
        assert logits.shape == (5, BATCH, self.task.vocabulary)
        return [logits]


def _gradients(network: nn.Module, outputs: list[Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a made-up loss by the parameters that it reaches."""
    import torch

    torch.autograd.backward([output.square().sum() for output in outputs])
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


def fields_read(space: Space, seed: int) -> set[str]:
    """Return the dataclass fields that a run of `decide()` reads, through properties and methods too."""
    names, read = {field.name for field in dataclasses.fields(space)}, set[str]()

    class Traced(type(space)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            if name in names:
                read.add(name)
            return super().__getattribute__(name)

    traced = object.__new__(Traced)
    traced.__dict__.update(vars(space))
    walk, rng = Walk(traced), generator(seed)
    while (question := walk.question) is not None:
        walk.send(None if isinstance(question, Anchor) else draw_answer(question, rng))
    return read
