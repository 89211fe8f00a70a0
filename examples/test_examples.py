"""The laws of archwright for the parts in this folder: `pytest examples`. Copy a class for a part of your own.

The tables of published benchmarks are tried with stand-ins for the authors' packages, which answer with a formula.
"""

from types import SimpleNamespace

import pytest

import jahs_bench_201
import nas_bench_101
import nas_bench_301
from archwright.errors import ConfigError
from archwright.evaluators.table import Table
from archwright.loop import Proposal
from archwright.space import replay
from archwright.testing import ControllerContract, EvaluatorContract, SpaceContract
from archwright.testing.small_spaces import Static
from independent_softmax import Edges
from own_table import TABLE, Towers


class TestEdges(ControllerContract):
    spaces = (Static(),)  # it answers choices of static spaces only

    def make(self, space, seed):
        return Edges(space, learning_rate=0.1, seed=seed)


class TestTowers(SpaceContract):
    def make(self):
        return Towers()


class TestTable(EvaluatorContract):
    space = Towers()

    def make(self):
        return TABLE


class Cells:
    """Stands in for `nasbench.api.NASBench`."""

    def is_valid(self, spec):
        return sum(map(sum, spec.matrix)) <= 9

    def get_metrics_from_spec(self, spec):
        convolutions = spec.ops.count("conv3x3-bn-relu")
        runs = [{"final_validation_accuracy": 0.9 + convolutions / 100 + run / 1000} for run in range(3)]
        return {}, {108: [{**run, "final_test_accuracy": 0.9, "final_training_time": 1000.0} for run in runs]}


class Ensemble:
    """Stands in for what `nasbench301.load_ensemble` returns."""

    def predict(self, config, representation, with_noise=False):
        assert representation == "genotype"
        assert config.normal_concat == [2, 3, 4, 5]
        return 90.0 + sum(operation.startswith("sep") for operation, _ in config.normal) / 10 + with_noise


def surrogate(config, nepochs):
    """Stands in for `jahs_bench.Benchmark`."""
    assert config["Optimizer"] == "SGD"
    found = {"valid-acc": 80.0 + config["N"], "test-acc": 79.0 + config["N"], "runtime": 900.0}
    return {nepochs: {**found, "latency": config["W"] / 100}}


class TestNasBench101(EvaluatorContract):
    space = nas_bench_101.NasBench101()

    def make(self):
        return Table(self.space, nas_bench_101.Look(Cells(), SimpleNamespace))


class TestNasBench101Space(SpaceContract):
    def make(self):
        return nas_bench_101.NasBench101()


class TestNasBench301(EvaluatorContract):
    space = nas_bench_301.SPACE

    def make(self):
        return Table(self.space, nas_bench_301.Look(Ensemble(), Ensemble()), reward="noisy", score="accuracy")


class TestJahs(EvaluatorContract):
    space = jahs_bench_201.Joint()

    def make(self):
        return Table(self.space, jahs_bench_201.Look(surrogate))


class TestJahsSpace(SpaceContract):
    def make(self):
        return jahs_bench_201.Joint()


def test_a_matrix_with_too_many_edges_is_a_failed_child():
    space = nas_bench_101.NasBench101()
    edges = {f"{target}<-{source}": True for source, target in nas_bench_101.EDGES}
    full = replay(space, {**edges, **{f"{vertex}": "maxpool3x3" for vertex in range(1, 6)}})
    table = Table(space, nas_bench_101.Look(Cells(), SimpleNamespace))
    result = table.evaluate(Proposal(0, full))
    assert result.error is not None
    assert result.reward <= 91
    few = replay(space, {**dict.fromkeys(edges, False), **{f"{vertex}": "conv3x3-bn-relu" for vertex in range(1, 6)}})
    assert table.evaluate(Proposal(0, few)).reward == pytest.approx(95.1)


@pytest.mark.parametrize("module", [nas_bench_101, nas_bench_301, jahs_bench_201])
def test_where_the_figures_are_is_asked_for(module, monkeypatch):
    for name in ("NAS_BENCH_101", "NAS_BENCH_301", "JAHS_BENCH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="must name"):
        module.table()
