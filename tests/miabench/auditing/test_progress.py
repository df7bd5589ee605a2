"""What an audit says of how far it is."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

import miabench
from miabench.auditing import audit as auditing
from miabench.auditing.audit import audit_network
from miabench.auditing.progress import Display, Step
from miabench.plugins.discover import discover


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def records():
    """12 members and 12 non-members."""
    x, y = torch.randn(24, 3, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 2
    return (x[:12], y[:12]), (x[12:], y[12:])


@pytest.fixture
def dear(tmp_path, monkeypatch):
    """A dear attack among the others: it asks about 11 records of each kind."""
    path = tmp_path / "dear.py"
    path.write_text(
        "from miabench import Attack, Probe\n\n\nclass Slow(Probe, frozen=True):\n"
        "    def observe(self, ask, x, y, noise):\n        return ask(x)[0][:, 0]\n\n\n"
        "class Dear(Attack, frozen=True):\n    access = 'black-box'\n\n    def probes(self):\n"
        "        return (Slow(records=11),)\n\n    def score(self, target, state):\n"
        "        return target[self.probes()[0]].astype(float)\n"
    )
    infos = [info for info in discover([path]).all("attack") if info.name in ("confidence", "dear", "gap")]

    class Found:
        def all(self, kind):
            return infos

    monkeypatch.setattr(auditing, "discover", Found)


def test_each_attack_and_each_few_records_of_a_dear_one_are_heard(records, dear):
    heard = []
    found = audit_network(nn.Linear(3, 2), *records, listen=heard.append)
    assert [str(step) for step in heard] == [
        "[1/2] confidence",
        "[2/2] dear",
        "[2/2] dear: 0/22 records",
        "[2/2] dear: 10/22 records",
        "[2/2] dear: 20/22 records",
    ]
    assert np.isfinite(found.scores["dear"]).sum() == 22


def test_elsewhere_than_on_a_terminal_a_line_every_few_seconds():
    written, clock = io.StringIO(), Clock()
    with Display(Console(file=written, markup=False, highlight=False), clock) as display:
        for second in range(12):
            clock.now = float(second)
            display(Step("boundary", 3, 22, asked=10 * second, records=400))
    assert written.getvalue() == "[3/22] boundary: 60/400 records\n"


def test_on_a_terminal_a_bar_that_goes():
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=100, markup=False, highlight=False)
    with Display(console, Clock()) as display:
        display(Step("boundary", 3, 22, asked=40, records=400))
    assert "[3/22] boundary: 40/400 records" in written.getvalue()
    assert written.getvalue().endswith("\x1b[2K"), "nothing is left of it"


def test_python_is_silent_unless_asked(records, dear, capfd, monkeypatch):
    monkeypatch.setattr("miabench.auditing.progress.LINE_EVERY", -1.0)
    net = nn.Linear(3, 2)
    miabench.audit(net, *records)
    assert capfd.readouterr().err == ""
    miabench.audit(net, *records, progress=True)
    assert "[2/2] dear: 20/22 records\n" in capfd.readouterr().err
