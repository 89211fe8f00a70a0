"""Where training runs."""

from __future__ import annotations

import torch

from archwright.errors import ConfigError


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device of that name, with its number if it is a GPU; `ConfigError` if it does not exist.

    "auto" is the first that exists of cuda, mps and cpu.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"{device!r} is not a device; use auto, cpu, cuda, cuda:N or mps") from None
    if found.type not in ("cpu", "cuda", "mps"):
        raise ConfigError(f"device {str(found)!r} is not supported; use auto, cpu, cuda, cuda:N or mps")
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("device 'mps': Apple's GPU is not available here; use auto or cpu")
    if found.type != "cuda":
        return found
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise ConfigError(f"device {str(found)!r}: PyTorch sees no CUDA GPU here; use auto or cpu")
    if (found.index or 0) >= count:
        raise ConfigError(f"device {str(found)!r}: there are {count} GPUs, cuda:0 to cuda:{count - 1}")
    return found if ":" in str(found) else torch.device("cuda", torch.cuda.current_device())
