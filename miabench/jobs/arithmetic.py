"""How a job computes: precision, threads, and nothing of the first job's start in its measured time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from miabench.jobs.specs import Compute
from miabench.training.sgd import SGD

DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.float32, "float64": torch.float64}
PRODUCTS = {"bf16": torch.bfloat16}  # type of a network's products where it is not that of its weights


@cache
def warm_up() -> None:
    """One optimizer step: the first in a process loads code, which must not count as the first training's cost."""
    parameter = torch.zeros(1, requires_grad=True)
    parameter.sum().backward()  # type: ignore[no-untyped-call]
    SGD([parameter], 0.1, 0.9, 0.1).step()


@contextlib.contextmanager
def arithmetic(compute: Compute) -> Iterator[None]:
    """Threads and precision of one job, put back after it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(compute.threads)
    try:
        with threadpool_limits(compute.threads), _tf32(compute.precision == "tf32"), _one_algorithm():
            yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _tf32(on: bool) -> Iterator[None]:
    """Whether matrix products and convolutions of float32 may be computed in TF32 on a GPU."""
    newer = _newer_switches()
    try:
        older = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:  # the program has used the newer switches, which these then cannot tell
        older = None
    before = [switch.fp32_precision for switch in newer.values()]
    torch.set_float32_matmul_precision("high" if on else "highest")
    torch.backends.cudnn.allow_tf32 = on
    for name in newer.keys() & {"conv", "rnn"}:  # which otherwise follow what the program chose for all operations
        newer[name].fp32_precision = "tf32" if on else "ieee"
    try:
        yield
    finally:
        if older:
            torch.set_float32_matmul_precision(older[0])
            torch.backends.cudnn.allow_tf32 = older[1]
        for switch, precision in zip(newer.values(), before, strict=True):
            switch.fp32_precision = precision


@contextlib.contextmanager
def _one_algorithm() -> Iterator[None]:
    """On a GPU the same convolution in the same way every time, so that the same training gives the same weights."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def _newer_switches() -> dict[str, Any]:
    """The switches of torch 2.9 and later that the two older ones set as well."""
    of: Any = torch.backends
    if not hasattr(of.cudnn, "conv"):
        return {}
    return {"cuda": of.cuda.matmul, "cpu": of.mkldnn.matmul, "conv": of.cudnn.conv, "rnn": of.cudnn.rnn}
