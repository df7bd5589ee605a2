"""On what machine and with which versions a result was made: kept beside it, never in its key."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from miabench._version import __version__
from miabench.errors import UserError

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "pandas", "safetensors")


def environment(device: torch.device) -> dict[str, Any]:
    """Versions of the libraries that touch numbers, processor, and accelerator if one is used."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {"environment": {**_software(), "cpu": _cpu(), "gpu": gpu}}


@cache
def _software() -> dict[str, str]:
    versions = {library: metadata.version(library) for library in LIBRARIES}
    return {"miabench": __version__, "python": platform.python_version(), **versions}


@cache
def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def devices_here() -> list[str]:
    """What networks may be on: an accelerator first, if there is one."""
    if torch.cuda.is_available():
        return ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), "cpu"]
    return ["mps", "cpu"] if torch.backends.mps.is_available() else ["cpu"]


def resolve_device(device: str, have: Sequence[str]) -> str:
    """The first device there is for `auto`; anything else must be there.

    Args:
        device: as an experiment names it.
        have: what there is where the jobs run.

    Raises:
        UserError: a device that is not there.
    """
    if device == "auto":
        return have[0]
    if device not in have:
        raise UserError(f"device {device!r} is not where the jobs run; there is {', '.join(have)}")
    return device
