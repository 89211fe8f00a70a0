"""States as bytes: nested dicts and lists of tensors, arrays and numbers in one safetensors file, without pickle.

The tensors are safetensors entries named by their place in the state; everything else, and how they nest, is JSON in
the file's metadata. Equal states give equal bytes. What the library's numpy side has no type for (bfloat16 among
others) is stored as raw bytes, with its type named in the JSON.
"""

from __future__ import annotations

import json
import math
import struct
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load, save

from archwright.errors import RunError

if TYPE_CHECKING:
    import torch

    from archwright.protocols import State

_KEY = "archwright"  # the metadata entry with the JSON
_LARGEST = 40_000_000  # bytes of JSON; the format allows headers of 100 MB, and the JSON is quoted once more in them
_NATIVE = {"bool", *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))}
_NATIVE |= {"float16", "float32", "float64"}
_KINDS = "biufcmMSU"  # numpy's numbers, dates and text; not objects, which would need pickle, nor records
_HELD = "a state holds dicts, lists, tensors, arrays, numbers, strings and None"


def pack(state: State) -> bytes:
    """Return the bytes of a state; `unpack` gives it back bit for bit, on the CPU.

    A state is nested dicts (keys: str or int), lists, tensors, numpy arrays and scalars, int, float (NaN and infinity
    too), str, bool and None. Tuples come back as lists, subclasses as their plain type (a `Parameter` as a tensor, an
    `OrderedDict` as a dict), arrays in C order; tensors without gaps keep their strides (channels_last). Anything else
    is a TypeError that names its place.
    """
    arrays: dict[str, np.ndarray] = {}
    structure = json.dumps(_describe(state, "", arrays), separators=(",", ":"))
    if len(structure) > _LARGEST:
        raise ValueError(
            f"a state of {len(structure):,} bytes besides its tensors; up to {_LARGEST:,} can be stored: "
            "put long lists of numbers into arrays"
        )
    packed: bytes = save(arrays, {_KEY: structure})
    return packed


def unpack(data: bytes) -> State:
    """Return the state that `pack` packed. Other bytes are a RunError; nothing in them can run code."""
    try:
        size = int.from_bytes(data[:8], "little")
        structure = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][_KEY])
        state = _build(structure, load(data))
    except Exception as error:  # many kinds, from JSON, safetensors, numpy and torch
        raise RunError(f"not a stored state, or a damaged one ({type(error).__name__}: {error})") from error
    if not isinstance(state, dict):
        raise RunError(f"not a stored state: it holds a {type(state).__name__}, not a dict")
    return state


def _describe(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return the JSON of `value`. Its objects are {"dict": pairs}, {"float": bits} or an array's description."""
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value, order="C")
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"{place} is an array of {array.dtype}; {_HELD}")
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        native = array.dtype.name in _NATIVE and array.dtype.isnative
        name = _add(array if native else np.frombuffer(array.tobytes(), np.uint8), place, arrays)
        return {kind: name, "dtype": array.dtype.str, "shape": list(array.shape)}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (str, int)):
        return str(value) if isinstance(value, str) else int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": struct.pack("<d", value).hex()}  # JSON has no NaN
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (str, int):
                raise TypeError(f"{place or 'the state'} has the key {key!r}; a state's keys are strings or integers")
        return {
            "dict": [[key, _describe(value[key], f"{place}.{key}" if place else str(key), arrays)] for key in value]
        }
    if isinstance(value, (list, tuple)):
        return [_describe(item, f"{place}.{index}", arrays) for index, item in enumerate(value)]
    if "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor):
        return _describe_tensor(value, place, arrays)
    raise TypeError(f"{place or 'the state'} is a {type(value).__name__}; {_HELD}")


def _describe_tensor(value: torch.Tensor, place: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    import torch

    if value.layout != torch.strided or value.is_quantized:
        raise TypeError(f"{place} is a {value.dtype} tensor of layout {value.layout}; only plain dense ones are stored")
    tensor = value.detach().cpu().resolve_conj().resolve_neg()
    dtype, shape = str(tensor.dtype).removeprefix("torch."), list(tensor.shape)
    plain = tensor.contiguous() if dtype in _NATIVE else tensor.contiguous().reshape(-1).view(torch.uint8)
    described = {"tensor": _add(plain.numpy(), place, arrays), "dtype": dtype, "shape": shape}
    strides = list(tensor.stride())
    if strides != list(torch.empty(shape, device="meta").stride()) and _gapless(shape, strides):
        described["strides"] = strides  # which kernel torch picks, and so the last bit, may depend on them
    return described


def _gapless(shape: list[int], strides: list[int]) -> bool:
    """Return whether the strides cover one block of memory once (dense and without overlap, as torch calls it)."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(strides, shape, strict=True) if size != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def _add(array: np.ndarray, place: str, arrays: dict[str, np.ndarray]) -> str:
    name = f"{len(arrays)}.{place}".encode("ascii", "backslashreplace").decode()  # the number makes it unique
    arrays[name] = array
    return name


def _build(described: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(described, list):
        return [_build(item, arrays) for item in described]
    if not isinstance(described, dict):
        return described
    if "dict" in described:
        return {key: _build(item, arrays) for key, item in described["dict"]}
    if "float" in described:
        return struct.unpack("<d", bytes.fromhex(described["float"]))[0]
    if "tensor" in described:
        return _build_tensor(described, arrays)
    dtype = np.dtype(described["dtype"])
    if dtype.kind not in _KINDS:
        raise ValueError(f"an array of {dtype}")
    kind = "array" if "array" in described else "scalar"
    array = np.ndarray(tuple(described["shape"]), dtype, bytearray(arrays[described[kind]].tobytes()))
    return array if kind == "array" else array[()]


def _build_tensor(described: dict[str, Any], arrays: dict[str, np.ndarray]) -> torch.Tensor:
    import torch

    dtype, shape = getattr(torch, described["dtype"]), described["shape"]
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"a tensor of {described['dtype']}")
    array = arrays[described["tensor"]].reshape(-1).copy()
    flat = torch.from_numpy(array).view(dtype) if array.size else torch.empty(0, dtype=dtype)
    tensor = flat.reshape(shape)
    if "strides" in described:
        if not _gapless(shape, described["strides"]):
            raise ValueError(f"strides {described['strides']} for the shape {shape}")
        return torch.empty_strided(shape, described["strides"], dtype=dtype).copy_(tensor)
    return tensor
