"""CUDA graphs without a GPU: kernels are kept with the memory they worked on, and done again on it when replayed."""

import contextlib

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def memory(tensor):
    return tensor.untyped_storage().data_ptr()


class Recorder(TorchDispatchMode):
    def __init__(self, kernels):
        super().__init__()
        self.kernels = kernels

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = func(*args, **(kwargs or {}))
        self.kernels.append((func, args, kwargs or {}, given))
        return given


class Graph:
    """`torch.cuda.CUDAGraph`, but what is recorded is done as well: the first replay, right after, does nothing."""

    def __init__(self):
        self.kernels, self.replays, self.generators = [], 0, []

    def register_generator_state(self, generator):
        self.generators.append(generator)

    def capture_begin(self, pool):
        self.recorder = Recorder(self.kernels)
        self.recorder.__enter__()

    def capture_end(self):
        self.recorder.__exit__(None, None, None)

    @torch.no_grad()
    def replay(self):
        self.replays += 1
        if self.replays == 1:
            return
        for func, args, kwargs, given in self.kernels:
            known = {memory(tensor) for tensor in tensors([args, kwargs])}
            for old, new in zip(tensors(given), tensors(func(*args, **kwargs)), strict=True):
                if memory(old) not in known:  # else a view, or changed in place
                    old.copy_(new)


class Stream:
    def __init__(self, device=None):
        self.device = device

    def wait_stream(self, other):
        assert isinstance(other, Stream)


@pytest.fixture
def graphs(monkeypatch):
    """These in place of torch's; those that are made."""
    made, peak = [], {"bytes": 1000}

    def new():
        made.append(Graph())
        return made[-1]

    for name, fake in {
        "Stream": Stream,
        "current_stream": Stream,
        "stream": contextlib.nullcontext,
        "graph_pool_handle": object,
        "CUDAGraph": new,
        "reset_peak_memory_stats": lambda device: peak.update(bytes=50),
        "max_memory_allocated": lambda device: peak["bytes"],
        "memory_allocated": lambda device: 10,
        "mem_get_info": lambda device: (40, 100),  # bytes that are free, and all
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return made
