"""What a job gives, before it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from miabench.files.npz import npz_bytes
from miabench.jobs.machine import environment
from miabench.jobs.specs import Spec
from miabench.store.store import Ref


class NewArtifact(NamedTuple):
    """One artifact.

    Attributes:
        ref: its address.
        about: what its manifest says beside the checksums.
        files: their content by name.
    """

    ref: Ref
    about: Mapping[str, Any]
    files: Mapping[str, bytes]


def computed(
    ref: Ref, spec: Spec, arrays: Mapping[str, NDArray[np.generic]], device: torch.device, **about: Any
) -> NewArtifact:
    """Arrays that a job of some spec computed on a device."""
    known = {"spec": spec.model_dump(mode="json"), **environment(device), **about}
    return NewArtifact(ref, known, {"arrays.npz": npz_bytes(arrays)})
