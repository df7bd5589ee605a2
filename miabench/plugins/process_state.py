"""What all jobs of one process share and may not change: settings of torch and numpy, and what their names stand for.

A job that leaves the default dtype or a patched `torch.nn.functional` behind would change the results of every job
after it. What is shared is therefore compared after each job, and put back.
"""

from __future__ import annotations

import builtins
import inspect
import os
import sys
import warnings
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from operator import attrgetter, is_
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.modules import module as modules

from miabench.errors import UserError, text_of
from miabench.seeds import global_stream

Owner = ModuleType | type
MODULES = (
    *(torch, torch.autograd, torch.linalg, torch.nn, torch.nn.functional, torch.nn.init, torch.optim, torch.special),
    *(np, np.linalg, np.random),
)
SHOWN = 3  # changes in one message
IN_A_BLOCK = "change it in a block of `with` that puts it back"
OWN_FUNCTION = "call a function of your own"
TORCH = str(Path(torch.__file__).parent)


class ProcessChangedError(UserError):
    """A job changed what all jobs of its process share. It was put back, as far as it is known what to look at."""


class Setting(NamedTuple):
    """One setting of the whole process.

    Attributes:
        name: in words.
        instead: what a plugin can do in place of changing it.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]
    instead: str = IN_A_BLOCK

    def read(self) -> Any:
        """Its value; a spelling of TF32's switches cannot be read once the other spelling contradicts it."""
        try:
            return self.get()
        except RuntimeError:
            return "contradictory"

    def told(self, before: Any) -> str:
        """The setting and how it changed, where that is short."""
        change = f"{before} -> {self.read()}"
        return f"{self.name} ({change})" if len(change) < 60 else self.name


def _flag(owner: str, name: str) -> Setting:
    """A setting that is an attribute below `torch.backends`."""
    backend = attrgetter(owner)(torch.backends)
    return Setting(
        f"torch.backends.{owner}.{name}", lambda: getattr(backend, name), lambda value: setattr(backend, name, value)
    )


def _hooks(name: str) -> Setting:
    """The hooks that every module of torch calls."""
    hooks = getattr(modules, name)
    return Setting(
        f"the hooks of all modules (torch.nn.modules.module.{name})",
        lambda: dict(hooks),
        lambda before: (hooks.clear(), hooks.update(before)),
        "register a hook on your own network",
    )


def _autocast(device: str) -> Setting:
    def put(state: tuple[bool, torch.dtype]) -> None:
        torch.set_autocast_enabled(device, state[0])
        torch.set_autocast_dtype(device, state[1])

    return Setting(
        f"autocast on {device}", lambda: (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)), put
    )


def _put_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)  # "cpu" would slow every call down


def _flushes_denormals() -> bool:
    smallest = sys.float_info.min
    return smallest * 0.5 == 0.0


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "torch's default dtype",
        torch.get_default_dtype,
        torch.set_default_dtype,
        "give dtype= where a tensor is made",
    ),
    Setting(
        "torch's default device",
        torch.get_default_device,
        _put_device,
        "give device=task.device where a tensor is made",
    ),
    Setting(
        "torch's gradient mode",
        torch.is_grad_enabled,
        torch.set_grad_enabled,
        "switch gradients off in a block: with torch.no_grad():",
    ),
    Setting(
        "torch's inference mode",
        torch.is_inference_mode_enabled,
        lambda before: None,  # `isolated` puts it back
        "use it as a block: with torch.inference_mode():",
    ),
    Setting(
        "torch's number of threads",
        torch.get_num_threads,
        torch.set_num_threads,
        "set `threads` in the experiment",
    ),
    # the new spelling of TF32's switches comes before the old one, which cannot be read while they contradict
    *(
        _flag(owner, "fp32_precision")
        for owner in ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv")
        if hasattr(torch.backends.cudnn, "conv")
    ),
    *(_flag("cudnn", name) for name in ("allow_tf32", "enabled", "benchmark", "deterministic")),
    *(_flag("cuda.matmul", f"allow_{kind}_reduced_precision_reduction") for kind in ("fp16", "bf16")),
    _flag("mkldnn", "enabled"),
    Setting(
        "torch's precision of float32 products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
        "set `precision` in the experiment",
    ),
    Setting(
        "torch's deterministic algorithms",
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    ),
    Setting(
        "torch's detection of anomalies",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda before: torch.set_anomaly_enabled(*before),
        "use it as a block: with torch.autograd.detect_anomaly():",
    ),
    Setting("torch's flushing of denormal numbers", _flushes_denormals, torch.set_flush_denormal, "leave it"),
    _autocast("cpu"),
    _autocast("cuda"),
    *(_hooks(name) for name in vars(modules) if name.startswith("_global") and name.endswith("_hooks")),
    Setting(
        "numpy's handling of errors",
        np.geterr,
        lambda before: np.seterr(**before),
        "use a block: with np.errstate(...):",
    ),
    Setting(
        "numpy's print options",
        np.get_printoptions,
        lambda before: np.set_printoptions(**before),
        "use a block: with np.printoptions(...):",
    ),
)


class ProcessState:
    """What all jobs of a process share, as it was when this was made."""

    def __init__(self) -> None:
        self._values = [setting.read() for setting in SETTINGS]
        self._names = [(owner, dict(vars(owner))) for owner in _owners(len(sys.modules))]
        self._environ = dict(os.environ)

    def changes(self) -> dict[str, str]:
        """What is different now, in words, and what to do instead."""
        settings = {setting.told(before): setting.instead for setting, before in self._changed_settings()}
        return settings | {f"{_name(owner)}.{name}": OWN_FUNCTION for owner, name, _ in self._changed_names()}

    def restore(self) -> None:
        """Put everything back; the environment too, of which a library that was imported may have set something."""
        for owner, name, before in list(self._changed_names()):
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        for _ in range(2):  # the older spelling of TF32's switches writes the newer one too
            for setting, before in list(self._changed_settings()):
                setting.put(before)
        if os.environ != self._environ:
            os.environ.clear()
            os.environ.update(self._environ)

    def _changed_settings(self) -> Iterator[tuple[Setting, Any]]:
        for setting, before in zip(SETTINGS, self._values, strict=True):
            if setting.read() != before:
                yield setting, before

    def _changed_names(self) -> Iterator[tuple[Owner, str, Any]]:
        for owner, before in self._names:
            now = vars(owner)
            if len(now) != len(before) or not all(map(is_, now.values(), before.values())):
                yield from ((owner, name, before.get(name, _ABSENT)) for name in _changed(owner, before))


_ABSENT = object()


@cache
def _owners(modules: int) -> list[Owner]:
    """The modules and classes whose names are looked at, torch's, numpy's and this package's: looked up per import."""
    own = [module for name, module in list(sys.modules.items()) if name.split(".")[0] == "miabench"]
    values = [value for module in (torch.nn, torch.optim, *own) for value in vars(module).values()]
    classes = [value for value in values if isinstance(value, type)]  # a class' own names: `torch.nn.Linear.forward`
    ours = [value for value in classes if value.__module__.split(".")[0] in ("torch", "miabench")]
    return list(dict.fromkeys([*MODULES, *own, torch.Tensor, *ours]))


def _changed(owner: Owner, before: Mapping[str, Any]) -> list[str]:
    """Names that mean something else than before; what was added without hiding anything, as by an import, does not."""
    now = vars(owner)
    behind = owner.__mro__[1:] if isinstance(owner, type) else (builtins,)
    meant = ChainMap(dict(before), *map(dict, map(vars, behind)))
    names = [*before, *(now.keys() - before.keys())]
    return [
        name
        for name in names
        if name in meant and _counts(owner, name, meant[name]) and not _still(meant[name], now.get(name, _ABSENT))
    ]


def _still(before: Any, now: Any) -> bool:
    """Whether it is the same, or torch has wrapped it at its first use, as it does with `step` and `manual_seed`."""
    if isinstance(now, FunctionType) and now.__code__.co_filename.startswith(TORCH):
        return bool(inspect.unwrap(now) is inspect.unwrap(before))
    return now is before


def _counts(owner: Owner, name: str, value: Any) -> bool:
    """Whether code uses the name; Python and pydantic keep notes of their own in modules and classes."""
    if isinstance(owner, type):
        return (callable(value) or hasattr(value, "__get__")) and not name.startswith("__pydantic")
    follows = owner is torch and name == "Storage"  # the default dtype
    return not follows and (callable(value) or not name.startswith("__"))


def _name(owner: Owner) -> str:
    return f"{owner.__module__}.{owner.__qualname__}" if isinstance(owner, type) else owner.__name__


@contextmanager
def isolated(who: str, seed: int) -> Iterator[Callable[[], None]]:
    """A block that changes nothing of the process: it gives a check of that, which is made at its end too.

    In it Python's, numpy's and torch's global generators are seeded; they, the filters of warnings and the gradient
    mode are put back without a word. So is everything else after an error.

    Args:
        who: does what the block does, for the error: "the code of mine.py".
        seed: of the global generators.

    Raises:
        ProcessChangedError: what was changed, and what to do instead.
    """
    with warnings.catch_warnings(), torch.inference_mode(False), global_stream(seed, "process"):
        state = ProcessState()
        try:
            yield lambda: _check(state, who)
            _check(state, who)
        except ProcessChangedError:
            raise
        except (Exception, SystemExit) as error:
            _check(state, who, f"; then {type(error).__name__}: {text_of(error)}")
            raise
        finally:
            state.restore()


def _check(state: ProcessState, who: str, then: str = "") -> None:
    if changes := state.changes():
        first = list(changes)[:SHOWN]
        more = f" and {len(changes) - SHOWN} others" if len(changes) > SHOWN else ""
        raise ProcessChangedError(
            f"{who} changed {', '.join(first)}{more}, which all jobs of a process share; "
            f"instead: {'; '.join(dict.fromkeys(changes[name] for name in first))}{then}"
        )
