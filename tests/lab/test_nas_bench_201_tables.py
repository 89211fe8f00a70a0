"""Tables: looked up, never more than a search may see; the .npz and the official packages' methods."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from archwright.errors import ConfigError, MissingExtra
from archwright.lab.nas_bench_201 import FromApi, from_npz, from_official
from archwright.lab.tables import load_table
from archwright.loop import Proposal, Result
from archwright.space import enumerate_space, sample
from archwright.spaces.nas_bench_201 import EDGES, OPERATIONS, NasBench201
from small_tables import write_npz


def test_looks_up_what_the_file_says_whatever_the_order_of_its_edges_and_operations(tmp_path: Path) -> None:
    everything = list(enumerate_space(NasBench201()))
    table = from_npz(write_npz(tmp_path / "table.npz", shuffled=True))
    for number in (0, 777, 15_624):
        architecture = everything[number]
        result = table.evaluate(Proposal(0, architecture))
        assert result == Result(pytest.approx(number / 1000), {"cost": pytest.approx(12.35 * (1 + number % 7))})
        assert table.final(architecture) == pytest.approx(number / 500)
    assert table.best == pytest.approx(15_624 / 500)


def test_a_file_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", ops=np.zeros((3, 6)))
    with pytest.raises(ConfigError, match="needs the array"):
        from_npz(tmp_path / "other.npz")
    with np.load(write_npz(tmp_path / "table.npz")) as file:
        arrays = dict(file)
    for name, wrong, part in (
        ("val_acc_12", arrays["val_acc_12"][:-1], "val_acc_12 must be numbers of shape"),
        ("test_acc_200", arrays["test_acc_200"].astype(str), "test_acc_200 must be numbers"),
        ("ops", arrays["ops"] + 1, "numbers from 1 to 5"),
        ("ops", np.zeros_like(arrays["ops"]), "1 different cells"),
        ("edges", arrays["edges"] + 1, "not those of NAS-Bench-201"),
        ("edges", np.arange(6), "not those of NAS-Bench-201"),
    ):
        np.savez(tmp_path / "wrong.npz", **{**arrays, name: wrong})
        with pytest.raises(ConfigError, match=part):
            from_npz(tmp_path / "wrong.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "table.npz").read_bytes()[:-100])
    with pytest.raises(ConfigError, match="is not an"):
        from_npz(tmp_path / "cut.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(ConfigError, match=r"cannot be read|is not an"):
        from_npz(tmp_path / "text.npz")


class Api:
    """The methods of the official packages that are used: as in nats_bench 1.8 and nas-bench-201 2.1."""

    asked = 0

    def query_index_by_arch(self, arch: str) -> int:
        return len(arch)

    def get_more_info(self, index: int, dataset: str, hp: str, is_random: bool) -> dict[str, float]:
        assert not is_random
        self.asked += 1
        if hp == "12":
            assert dataset == "cifar10-valid"
            return {"valid-accuracy": index + 0.5, "train-all-time": 100.0, "valid-per-time": 3.0}
        assert (dataset, hp) == ("cifar10", "200")
        return {"test-accuracy": index + 1.0}


def test_official_files_are_read_by_the_official_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def create(*words: Any, **settings: Any) -> Api:
        asked.append((words, settings))
        return Api()

    monkeypatch.setitem(sys.modules, "nats_bench", SimpleNamespace(create=create))
    monkeypatch.setitem(sys.modules, "nas_201_api", SimpleNamespace(NASBench201API=create))
    architecture = sample(NasBench201(), 1)
    length = len(NasBench201().to_arch(architecture))
    for name in ("NATS-tss-v1_0-3ffb9-simple", "NAS-Bench-201-v1_1-096897.pth"):
        table = from_official(tmp_path / name)
        assert table.evaluate(Proposal(0, architecture)) == Result(length + 0.5, {"cost": 103.0})
        assert table.final(architecture) == length + 1.0
        look = table.look
        assert isinstance(look, FromApi)
        assert look.api.asked == 2  # of 12 epochs and of 200: the second look is remembered
    assert [str(tmp_path) in words[0] for words, _ in asked] == [True, True]


@pytest.mark.parametrize("name", ["NATS-tss-v1_0-3ffb9-simple", "NAS-Bench-201-v1_1-096897.pth"])
def test_a_pickle_is_read_only_if_it_is_said_to_be_trusted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(b"")
    read: list[Path] = []
    monkeypatch.setattr("archwright.lab.tables.from_official", lambda path, _: read.append(path))
    with pytest.raises(ConfigError, match=f"trusted:{tmp_path / name}"):
        load_table(str(tmp_path / name))
    assert not read
    load_table(f"trusted:{tmp_path / name}")
    assert read == [tmp_path / name]


@pytest.mark.parametrize(("name", "package"), [("NATS-tss-v1", "nats_bench"), ("NAS.pth", "nas-bench-201")])
def test_a_package_that_is_missing_is_named(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("nats_bench", "nas_201_api"):
        monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]
    with pytest.raises(MissingExtra, match=f"pip install {package}"):
        from_official(Path(name))


def test_a_file_that_the_package_cannot_read_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(*_: Any, **__: Any) -> Api:
        raise OSError("Invalid data stream")

    monkeypatch.setitem(sys.modules, "nats_bench", SimpleNamespace(create=create))
    with pytest.raises(ConfigError, match="cannot be read by nats_bench: OSError: Invalid data stream"):
        from_official(tmp_path / "NATS-tss-x.pickle.pbz2")


def test_an_old_file_is_opened_as_torch_did_before_2_6(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nas-bench-201 calls torch.load without weights_only, and such a file holds more than tensors."""
    file = tmp_path / "NAS-Bench-201.pth"
    torch.save({"of": Path("numpy")}, file)

    def create(path: str, verbose: bool) -> Any:
        return torch.load(path)

    monkeypatch.setitem(sys.modules, "nas_201_api", SimpleNamespace(NASBench201API=create))
    look = from_official(file).look
    assert isinstance(look, FromApi)
    assert look.api == {"of": Path("numpy")}
    with pytest.raises(Exception, match="weights_only"):
        torch.load(file)


def test_the_edges_and_operations_are_the_official_ones() -> None:
    assert OPERATIONS[0] == "none"
    assert EDGES[2] == (1, 2)
