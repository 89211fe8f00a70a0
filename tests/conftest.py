import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # runs that are compared need the same

# A machine that runs tests is a busy machine. In CI hypothesis itself fixes its seed, and this keeps it so.
settings.register_profile("archwright", settings.default, deadline=None)
settings.load_profile("archwright")


@pytest.fixture(autouse=True)
def denormals() -> Iterator[None]:
    """Give the process its denormal numbers back after a training: hypothesis draws them."""
    yield
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A Ray cluster of this machine, for all tests that need one: starting it takes seconds."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'archwright[ray]'")
    from archwright.engines.cluster import connect
    from clusters import STORE

    assert connect(None, cpus=4, object_store=STORE)
    yield
    ray.shutdown()
