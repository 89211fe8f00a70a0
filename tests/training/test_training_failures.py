"""Errors of a network's code as failures of a child."""

from __future__ import annotations

import pytest

from archwright.errors import ChildFailure, ConfigError, Diverged
from archwright.training.failures import any_failure


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), MemoryError(), RecursionError("deep")], ids=repr)
def test_whatever_a_network_raises_is_its_failure(error: BaseException) -> None:
    with pytest.raises(ChildFailure, match=f"^{type(error).__name__}: {error}"), any_failure():
        raise error


@pytest.mark.parametrize("error", [ConfigError("x"), Diverged("x"), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_what_is_no_failure_of_the_network_stays(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, any_failure():
        raise error
    assert caught.value is error
