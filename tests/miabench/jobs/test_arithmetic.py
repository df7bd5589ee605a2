"""The precision of a job: of matrix products and of convolutions, during the job and not after it."""

import pytest
import torch

from miabench.jobs import arithmetic as jobs
from miabench.jobs.specs import Compute

NEWER = hasattr(torch.backends.cudnn, "conv")  # torch 2.9 and later


def older():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


def newer():
    return {name: switch.fp32_precision for name, switch in jobs._newer_switches().items()}


@pytest.fixture(autouse=True)
def _put_back():
    before, all_newer = older(), newer()
    yield
    if NEWER:
        torch.backends.fp32_precision = "none"
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]
    for name, switch in jobs._newer_switches().items():
        switch.fp32_precision = all_newer[name]


def compute(precision):
    return Compute(device="cpu", precision=precision, threads=1)


@pytest.mark.parametrize("program", [("highest", False), ("high", True), ("medium", True), ("highest", True)])
@pytest.mark.parametrize(
    ("precision", "matrices", "convolutions"),
    [("float32", "highest", False), ("tf32", "high", True), ("float64", "highest", False)],
)
@pytest.mark.parametrize("has_newer", [NEWER, False])
def test_both_switches_are_set_and_put_back(monkeypatch, program, precision, matrices, convolutions, has_newer):
    if not has_newer:
        monkeypatch.setattr(jobs, "_newer_switches", dict)
    torch.set_float32_matmul_precision(program[0])
    torch.backends.cudnn.allow_tf32 = program[1]
    with jobs.arithmetic(compute(precision)):
        assert older() == (matrices, convolutions)
    assert older() == program
    with pytest.raises(InterruptedError), jobs.arithmetic(compute(precision)):
        raise InterruptedError
    assert older() == program


@pytest.mark.skipif(not NEWER, reason="needs torch 2.9, whose newer switches it is about")
@pytest.mark.parametrize("chosen", ["tf32", "ieee"])
@pytest.mark.parametrize(("precision", "inside"), [("float32", "ieee"), ("tf32", "tf32")])
@pytest.mark.parametrize("operation", [None, "cuda", "conv"])
def test_what_a_program_chose_with_the_newer_switches_does_not_reach_a_job(chosen, precision, inside, operation):
    """Mixing torch's two interfaces makes the older one's getters raise."""
    if operation is None:
        torch.backends.fp32_precision = chosen
    else:
        jobs._newer_switches()[operation].fp32_precision = chosen
    before = newer()
    with jobs.arithmetic(compute(precision)):
        assert newer() == dict.fromkeys(("cuda", "cpu", "conv", "rnn"), inside)
        assert older() == (("high", True) if inside == "tf32" else ("highest", False))
    assert newer() == before


@pytest.mark.parametrize("program", [(False, True), (True, False)])
def test_convolutions_take_one_algorithm_and_the_programs_choice_is_put_back(monkeypatch, program):
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "deterministic", program[0])
    monkeypatch.setattr(cudnn, "benchmark", program[1])
    with jobs.arithmetic(compute("float32")):
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
    assert (cudnn.deterministic, cudnn.benchmark) == program
