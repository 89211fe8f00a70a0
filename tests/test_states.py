from __future__ import annotations

import contextlib
import math
import pickle
import struct
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from archwright.errors import RunError
from archwright.states import pack, unpack

DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES += ["bfloat16", "float16", "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"]

plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, min_side=0, max_side=3))
    | arrays.arrays(arrays.scalar_dtypes(), ()).map(lambda array: array[()])
)
states = st.dictionaries(
    st.text() | st.integers(),
    st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


def assert_same(a: Any, b: Any) -> None:
    """Equal in type, order and every bit."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert [(type(key), key) for key in a] == [(type(key), key) for key in b]
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    elif isinstance(a, torch.Tensor):
        assert (a.dtype, a.shape, a.device) == (b.dtype, b.shape, b.device)
        as_bytes = [t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
        assert torch.equal(*as_bytes)
    elif isinstance(a, (np.ndarray, np.generic)):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    elif isinstance(a, float):
        assert struct.pack("<d", a) == struct.pack("<d", b)
    else:
        assert a == b


@given(states)
def test_whatever_is_packed_comes_back_bit_for_bit_and_equal_states_have_equal_bytes(state):
    packed = pack(state)
    assert_same(unpack(packed), state)
    assert pack(unpack(packed)) == packed


@pytest.mark.parametrize("dtype", [getattr(torch, name) for name in DTYPES], ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_every_dtype_and_shape_comes_back(dtype, shape):
    random = torch.randint(0, 2, (math.prod(shape) * dtype.itemsize,), dtype=torch.uint8)
    tensor = random.view(dtype).reshape(shape)
    assert_same(unpack(pack({"x": tensor})), {"x": tensor})


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(2, 1, 4, 5).to(memory_format=torch.channels_last),
        torch.randn(2, 3, 2, 4, 5).to(memory_format=torch.channels_last_3d),
        torch.randn(3, 4).t(),
        torch.randn(2, 3, 4).permute(2, 0, 1).to(torch.bfloat16),
    ],
)
def test_tensors_without_gaps_keep_their_strides(tensor):
    back = unpack(pack({"x": tensor}))["x"]
    assert_same(back, tensor)
    assert back.stride() == tensor.stride()


def test_views_with_gaps_or_overlaps_come_back_as_what_they_show():
    x = torch.randn(4, 6)
    state = {"step": x[:, ::2], "expanded": x[:1].expand(4, 6), "conj": torch.randn(3, dtype=torch.complex64).conj()}
    back = unpack(pack(state))
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert back["step"].is_contiguous()
    assert not back["conj"].is_conj()


def test_a_parameter_comes_back_as_a_plain_tensor_and_tuples_as_lists():
    weight = torch.nn.Parameter(torch.randn(3))
    back = unpack(pack({"weight": weight, "betas": (0.9, 0.999), "nested": OrderedDict(a=(1, (2,)))}))
    assert type(back["weight"]) is torch.Tensor
    assert not back["weight"].requires_grad
    assert back["betas"] == [0.9, 0.999]
    assert type(back["nested"]) is dict
    assert back["nested"] == {"a": [1, [2]]}


def test_what_comes_back_can_be_written_to_and_shares_no_memory():
    x = torch.zeros(2)
    back = unpack(pack({"a": x, "b": x, "c": np.zeros(2)}))
    back["a"] += 1
    back["c"] += 1
    assert torch.equal(back["b"], torch.zeros(2))


def test_an_optimizer_goes_on_exactly_from_its_packed_state():
    def steps(model, optimizer, n):
        for step in range(n):
            optimizer.zero_grad()
            model(torch.full((2, 3), float(step))).square().sum().backward()
            optimizer.step()

    def fresh():
        model = torch.nn.Linear(3, 2)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.1)
        return model, torch.optim.Adam(model.parameters(), amsgrad=True)

    one, its_optimizer = fresh()
    steps(one, its_optimizer, 3)
    packed = pack({"model": one.state_dict(), "optimizer": its_optimizer.state_dict()})
    other, another_optimizer = fresh()
    state = unpack(packed)
    other.load_state_dict(state["model"])
    another_optimizer.load_state_dict(state["optimizer"])
    steps(one, its_optimizer, 3)
    steps(other, another_optimizer, 3)
    assert_same(dict(other.state_dict()), dict(one.state_dict()))


def test_a_numpy_generator_goes_on_from_its_packed_state():
    rng = np.random.default_rng(7)
    rng.random(5)
    other = np.random.default_rng(0)
    other.bit_generator.state = unpack(pack({"rng": rng.bit_generator.state}))["rng"]
    assert other.random() == rng.random()


def test_the_file_is_one_that_safetensors_reads():
    tensors = safetensors.torch.load(pack({"net": {"weight": torch.arange(6).reshape(2, 3)}}))
    (name,) = tensors
    assert name.endswith("net.weight")
    assert torch.equal(tensors[name], torch.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"a": [{"b": {1, 2}}]}, "a.0.b is a set"),
        ({"a": np.array([object()])}, "a is an array of object"),
        ({"a": np.zeros(2, dtype="i4,f8")}, "a is an array of"),
        ({"a": {(1, 2): 3}}, r"a has the key \(1, 2\)"),
        ({"a": {True: 3}}, "a has the key True"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "a is a torch.float32 tensor of layout torch.sparse_coo"),
    ],
)
def test_what_cannot_be_stored_is_named_with_its_place(state, place):
    with pytest.raises(TypeError, match=place):
        pack(state)


GOOD = pack({"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": [1, {"c": np.zeros(3), 4: math.nan}]})


@given(st.data())
def test_damaged_bytes_are_a_run_error_or_a_state(data):
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RunError):
        assert isinstance(unpack(bytes(damaged[: data.draw(st.integers(0, len(damaged)))])), dict)


class Explosive:
    def __reduce__(self):
        return (pytest.fail, ("a stored state ran code",))


@pytest.mark.parametrize(
    "described",
    [
        '{"array":"x","dtype":"O","shape":[1]}',
        '{"array":"x","dtype":"i4,i4","shape":[1]}',
        '{"tensor":"x","dtype":"load","shape":[8]}',
        '{"tensor":"x","dtype":"uint8","shape":[8],"strides":[1000000000000]}',
        '{"tensor":"x","dtype":"uint8","shape":[1000000000000]}',
        "[" * 100_000,
        '{"dict":[[[],1]]}',
        "[]",
    ],
)
def test_bytes_made_to_harm_are_a_run_error(described):
    array = np.frombuffer(pickle.dumps(Explosive())[:8].ljust(8, b"\0"), np.uint8)
    wrapped = described if described == "[]" else '{"dict":[["x",' + described + "]]}"
    with pytest.raises(RunError, match="stored state"):
        unpack(safetensors.numpy.save({"x": array}, {"archwright": wrapped}))
