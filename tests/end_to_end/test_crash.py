"""Commands that are killed at random moments and file operations, and run again: as if nothing had happened.

`python benchmarks/crash.py` kills more often than the suite.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys

import pytest

from miabench.files.toml import toml_text

KILLS = int(os.environ.get("MIABENCH_CRASHES", 25))
STEPS = ("train", "attack", "report", "tune", "gc")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has torch")]

# Forks a process for every command, since starting one takes seconds. A kill comes before a file operation below the
# folder, counted from 1, or after some seconds.
SERVER = """
import json, os, signal, sys, threading
import matplotlib.pyplot, optuna, pandas, scipy.stats, torch
from miabench.cli import commands
from miabench.jobs import runner
from miabench.reports import write

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree")

def work(task):
    seen = 0
    def hook(event, args):
        nonlocal seen
        writes = event == "open" and isinstance(args[2], int) and args[2] & WRITES
        if (writes or event in CHANGES) and str(args[0]).startswith(task["folder"]):
            seen += 1
            if seen == task["operation"]:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    out = os.open(task["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1), os.dup2(out, 2)
    sys.argv = ["miabench", *task["argv"]]
    code = 0
    try:
        commands.main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        import traceback
        traceback.print_exc()
        code = 99
    print(f"operations {seen}", flush=True)
    os._exit(code)

for line in sys.stdin:
    task = json.loads(line)
    child = os.fork()
    if child == 0:
        work(task)
    timer = threading.Timer(task["seconds"], os.kill, (child, signal.SIGKILL))
    if task["seconds"]:
        timer.start()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Shell:
    """Runs commands in a folder: a store, an experiment and, once there are any, pages."""

    def __init__(self, folder, experiment):
        self.folder = folder
        self.toml = folder / "tiny.toml"
        self.toml.write_text(toml_text(experiment))
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        self.server = subprocess.Popen(
            [sys.executable, "-P", "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )

    def argv(self, step, executor, place):
        store = ["--store", str(place / "store")]
        if step == "gc":  # the experiment is kept no longer; killed in the middle, it may be gone already
            names = [path.stem for path in place.glob("store/experiments/tiny-*.json")]
            return ["store", "gc", "--remove", *store, *(word for name in names for word in ("--forget", name))]
        more = {"report": ["--out", str(place / "pages")], "tune": ["--budget", "6"]}
        own = [] if step == "report" else ["--executor", executor, "--workers", "2"][: 2 if executor == "inline" else 4]
        chosen = ["--defense", "crl"] if step == "tune" else []
        return [step, str(self.toml), *store, *more.get(step, []), *own, *chosen]

    def run(self, step, place, executor="inline", operation=0, seconds=0.0):
        """The exit status, and what was written."""
        log = self.folder / "log.txt"
        argv = self.argv(step, executor, place)
        task = {"argv": argv, "folder": str(place), "log": str(log), "operation": operation, "seconds": seconds}
        print(json.dumps(task), file=self.server.stdin, flush=True)
        return int(self.server.stdout.readline()), log.read_text()

    def close(self):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()


@pytest.fixture(scope="module")
def shell(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("crash")
    csv = folder / "records.csv"
    csv.write_text("a,b,label\n" + "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(60)))
    changes = {"dataset": {"name": "table", "path": str(csv)}, "attacks": ["entropy"], "plugins": [], "shadows": 1}
    shell = Shell(folder, tiny(defense=["ce", "crl"], **changes))
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def whole(shell):
    """Of every step, the folder before it and after, and how many file operations it takes."""
    before, found = shell.folder / "nothing", {}
    before.mkdir()
    for step in STEPS:
        after = shell.folder / f"after-{step}"
        shutil.copytree(before, after)
        code, said = shell.run(step, after)
        assert code == 0, said
        found[step] = (before, after, int(said.split()[-1]))
        before = after
    return found


def contents(place):
    """All files by name, without what tells the time: of manifests and the journals of searches only the names.

    The page has no date: between two steps the day may end.
    """
    files = [path for path in place.rglob("*") if path.is_file()]
    timed = ("manifest.json", "journal.log", "journal.json")
    read = {path: b"" if path.name in timed else path.read_bytes() for path in files}
    return {str(path.relative_to(place)): re.sub(b"Results of [^<]+", b"", content) for path, content in read.items()}


@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_command_goes_on_as_if_nothing_had_happened(shell, whole, number):
    draw = random.Random(number)
    step = STEPS[number % len(STEPS)]
    before, after, operations = whole[step]
    place = shell.folder / f"killed-{number}"
    shutil.copytree(before, place)
    how = {"operation": draw.randint(1, operations)}
    if number % 4 == 3:  # a moment, among real workers too
        local = step in ("train", "attack")
        how = {"seconds": draw.uniform(0.01, 12 if local else 1.5), "executor": "local" if local else "inline"}
    code, said = shell.run(step, place, **how)
    assert code in (-signal.SIGKILL, 0), said
    code, said = shell.run(step, place)
    assert code == 0, said
    wanted, found = contents(after), contents(place)
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []
    shutil.rmtree(place)
