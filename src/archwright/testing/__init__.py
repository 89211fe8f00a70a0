"""Contract tests: the laws of each protocol, for authors of controllers, spaces, evaluators, engines and stores.

A contract is a class of tests. Subclass it in a test file, say how your part is made, and run pytest:

    class TestMine(ControllerContract):
        def make(self, space, seed):
            return Mine(space, seed=seed)

The tests need no fixtures, so `unittest` runs them too. A law that does not apply is switched off by name:
`test_another_seed_proposes_others = None`.
"""

from archwright.testing.controllers import ControllerContract
from archwright.testing.engines import EngineContract, IsolatedEngineContract
from archwright.testing.evaluators import EvaluatorContract
from archwright.testing.spaces import SpaceContract, TextSpaceContract
from archwright.testing.stores import StoreContract

__all__ = [
    "ControllerContract",
    "EngineContract",
    "EvaluatorContract",
    "IsolatedEngineContract",
    "SpaceContract",
    "StoreContract",
    "TextSpaceContract",
]
