"""Memory that data may take: what files claim in their headers is compared with it before anything is read."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

from archwright.errors import DataError

CGROUP = Path("/sys/fs/cgroup/memory.max")  # of a container


def usable_memory() -> int:
    """Return the bytes of memory that this process can have; infinitely many if the system does not say."""
    found = [2**62]
    with suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            found.append(limit)
    with suppress(OSError, ValueError):  # no container, or "max"
        found.append(int(CGROUP.read_text(encoding="ascii")))
    return min(found)


def require_room(need: int, what: str, advice: str) -> None:
    """Raise DataError if `what` needs more bytes than there can be; `advice` is what would help."""
    have = usable_memory()
    if need > have:
        raise DataError(
            f"{what} would take {need / 1e9:,.1f} GB of memory, and {have / 1e9:.1f} GB can be had; {advice}"
        )


def at_a_time(needs: Sequence[int], most: int, taken: int) -> int:
    """Return how many pieces of work may be under way at once: as many of the largest as there is room for, or `most`.

    `needs` are the bytes of each piece, `taken` those of what stays. The first piece has room: see `require_room`.
    """
    room = usable_memory() - taken
    together = accumulate(sorted(needs, reverse=True)[:most])
    return max(1, sum(need <= room for need in together))
