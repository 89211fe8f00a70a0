"""The laws of archwright for the parts in this folder: `pytest examples`. Copy a class for a part of your own."""

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
