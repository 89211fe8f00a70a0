"""The laws of every engine, for those that come along."""

from __future__ import annotations

import pytest

from archwright.engines import Inline, LocalProcesses
from archwright.loop import Engine
from archwright.testing import EngineContract, IsolatedEngineContract
from clusters import STORE


class TestInline(EngineContract):
    def make(self, workers: int) -> Engine:
        return Inline()


class TestLocalProcesses(IsolatedEngineContract):
    def make(self, workers: int) -> Engine:
        return LocalProcesses(workers)


@pytest.mark.usefixtures("cluster")
class TestRayTasks(IsolatedEngineContract):
    def make(self, workers: int) -> Engine:
        from archwright.engines.ray import RayTasks

        return RayTasks(workers, object_store=STORE)
