"""Saving and restoring all that changes during a training, without pickles: safetensors and JSON, with checksums."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors
from torch import Tensor

from miabench.errors import UserError
from miabench.files.atomic import replace_folder, write_file
from miabench.files.checksum import checksum

SECONDS = 60.0  # of work that may be lost; an epoch where that takes longer
CHECKSUMS = "checksums.json"


@dataclass(frozen=True)
class Checkpoint:
    """The last saved state of one training.

    Attributes:
        folder: where it is; replaced as a whole.
        seconds: at most this long between two, or an epoch where that takes longer.
    """

    folder: Path
    seconds: float = SECONDS

    def save(self, epoch: int, state: Mapping[str, Any]) -> None:
        """Replace what is saved by the state after an epoch."""
        tensors: dict[str, Tensor] = {}
        tree = _pack({"state": {k: _state_of(v) for k, v in state.items()}, "random": _global_random()}, tensors)
        on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        files = {
            "state.safetensors": safetensors.save(on_cpu),
            "state.json": json.dumps({"epoch": epoch, "tree": tree}).encode(),
        }
        with replace_folder(self.folder) as folder:
            for name, content in files.items():
                write_file(folder / name, content)
            write_file(folder / CHECKSUMS, self._checksums(files))

    def restore(self, state: Mapping[str, Any]) -> int:
        """Put the saved state back in place; the epoch it was saved after, 0 where nothing is saved.

        What is damaged is dropped, and a line says so: the training then starts again.
        """
        if not self.folder.exists():
            return 0
        try:
            epoch, tree = self.read()
        except UserError:
            print(f"the checkpoint {self.folder} is damaged: the training starts again from its first epoch")
            self.remove()
            return 0
        for name, part in state.items():
            _put_back(part, tree["state"][name])
        _put_back_random(tree["random"])
        return epoch

    def read(self) -> tuple[int, Any]:
        """What is saved: the epoch, and the state as a tree.

        Raises:
            UserError: it is not what was saved, or another training's.
        """
        try:
            files = {name: _content(self.folder / name) for name in ("state.safetensors", "state.json")}
            if self._checksums(files) != _content(self.folder / CHECKSUMS):
                raise ValueError("its checksums are others")
            saved = json.loads(files["state.json"])
            tree = _unpack(saved["tree"], safetensors.load(files["state.safetensors"]))
            return int(saved["epoch"]), tree
        except (UserError, ValueError, LookupError, TypeError, RuntimeError, MemoryError, SafetensorError) as error:
            raise UserError(f"the checkpoint {self.folder} is damaged ({error})") from None

    def _checksums(self, files: Mapping[str, bytes]) -> bytes:
        """What stands beside the files: their checksums, and whose they are."""
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        return json.dumps({"training": self.folder.name, **sums}).encode()

    def remove(self) -> None:
        """Forget what is saved."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _content(path: Path) -> bytes:
    """A file that fits into the memory."""
    checksum(path)
    return path.read_bytes()


def _global_random() -> dict[str, Any]:
    """State of the global generators: torch's (dropout draws from them), and those a plugin may draw from."""
    _, key, *more = np.random.get_state(legacy=True)
    states = {"cpu": torch.get_rng_state(), "python": random.getstate(), "numpy": [np.asarray(key).tolist(), *more]}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _put_back_random(states: Mapping[str, Any]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(("MT19937", *states["numpy"]))


def _state_of(part: Any) -> Any:
    if isinstance(part, torch.Generator):
        return part.get_state()
    return part.state_dict() if hasattr(part, "state_dict") else part


def _put_back(part: Any, saved: Any) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(saved)
    elif hasattr(part, "load_state_dict"):
        part.load_state_dict(saved)
    else:
        part.update(saved)


def _pack(tree: Any, tensors: dict[str, Tensor]) -> Any:
    """A tree of dicts, lists, numbers and tensors as JSON, its tensors moved into a flat dict."""
    if isinstance(tree, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = tree.clone()  # safetensors refuses tensors that share memory
        return {"tensor": name} | ({"channels_last": True} if _is_channels_last(tree) else {})
    if isinstance(tree, Mapping):
        return {"dict": [[key, _pack(value, tensors)] for key, value in tree.items()]}
    if isinstance(tree, (list, tuple)):
        return {"list": [_pack(value, tensors) for value in tree]}
    return {"value": tree}


def _is_channels_last(tensor: Tensor) -> bool:
    """Whether a tensor has that memory layout, which safetensors does not keep: another may round otherwise."""
    if tensor.dim() != 4:
        return False
    return tensor.stride() == torch.empty_like(tensor, device="meta", memory_format=torch.channels_last).stride()


def _unpack(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    if "tensor" in tree:
        saved = tensors[tree["tensor"]]
        return saved.clone(memory_format=torch.channels_last) if tree.get("channels_last") else saved
    if "dict" in tree:
        return {key: _unpack(value, tensors) for key, value in tree["dict"]}
    if "list" in tree:
        return [_unpack(value, tensors) for value in tree["list"]]
    return tree["value"]
