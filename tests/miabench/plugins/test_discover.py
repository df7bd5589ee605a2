"""Plugins are found in folders, installed packages and files; what is wrong with one is said in one line."""

import subprocess
import sys
import textwrap

import pytest

import miabench
from miabench.plugins.attack import Attack
from miabench.plugins.defense import Defense
from miabench.plugins.discover import KINDS, PluginFile, PluginIndex, discover

GOOD = """
from __future__ import annotations
from dataclasses import dataclass
from miabench import Criterion, Defense, Field

@dataclass
class Helper:
    value: int = 1

class Mine(Defense, frozen=True):
    beta: float = Field(0.1, ge=0, description="weight")
"""


@pytest.fixture
def write(tmp_path):
    def write(name, text=GOOD):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return write


def message(call, *args):
    with pytest.raises(miabench.UserError) as caught:
        call(*args)
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize("kind", KINDS)
def test_built_ins_load_and_are_named_after_their_files(kind):
    found = discover().all(kind)
    assert found
    for item in found:
        assert issubclass(item.load(), KINDS[kind])
        assert item.load().__module__.rpartition(".")[2].replace("_", "-") == item.name


def test_both_spellings_of_a_name(write):
    plugins = discover([write("my_defense.py")])
    assert plugins.get("defense", "my_defense") is plugins.get("defense", "my-defense")


def test_a_file_with_future_annotations_and_a_dataclass(write):
    found = discover([write("mine.py")]).get("defense", "mine")
    assert found.build({"beta": 0.5}).beta == 0.5
    assert found.source.endswith("mine.py")
    assert len(found.identity) == 64


def test_an_edited_file_is_another_module(write):
    path = write("mine.py")
    first = discover([path]).get("defense", "mine").load()
    path.write_text(GOOD.replace("0.1", "0.2"))
    second = discover([path]).get("defense", "mine").load()
    assert (first().beta, second().beta) == (0.1, 0.2)


def test_a_file_that_changed_since_it_was_planned(write):
    path = write("mine.py")
    described = discover([path]).files
    path.write_text(GOOD.replace("0.1", "0.2"))
    assert "mine.py changed since this experiment started" in message(discover, described)
    assert isinstance(described[0], PluginFile)


def test_clash_with_a_built_in(write):
    text = message(discover, [write("crl.py")])
    assert "two defenses are named 'crl': built-in and" in text
    assert "Rename your file" in text


def test_clash_of_two_files(write, tmp_path):
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "mine.py"
    other.write_text(GOOD)
    assert "two defenses are named 'mine'" in message(discover, [write("mine.py"), other])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1", "must hold exactly one public subclass of Defense or Attack or Dataset or Model; it holds none"),
        (GOOD + "\nclass Another(Defense, frozen=True):\n    pass\n", "it holds Another, Mine"),
        ("from miabench.defenses.crl import CRL", "it holds none"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module' ("),
        ("x = 1\ny = 1 / 0", "ZeroDivisionError: division by zero ("),
        ("def f(:", "SyntaxError: "),
        (
            GOOD + "    baseline = True\n",
            "mine.py: Mine says baseline = True; the built-in baseline is the only one",
        ),
        ("raise ValueError('two\\nlines')", "ValueError: two lines ("),
        ("import sys\nsys.exit(3)", "SystemExit: 3 ("),
    ],
)
def test_what_a_file_may_not_be(write, text, expected):
    said = message(discover, [write("mine.py", text)])
    assert expected in said
    assert "mine.py" in said


def test_an_import_error_names_the_line(write):
    assert "mine.py, line 2)" in message(discover, [write("mine.py", "x = 1\ny = 1 / 0")])


def test_a_missing_file(tmp_path):
    assert "cannot read plugin file" in message(discover, [tmp_path / "none.py"])


def test_unknown_names_have_a_nearest_one():
    text = message(discover().get, "defense", "relaxlos")
    assert text.startswith("there is no defense 'relaxlos'; did you mean 'relaxloss'? Known: ")


def test_all_problems_of_one_plugin_at_once():
    found = discover().get("defense", "relaxloss")
    problems = message(found.build, {"alpah": 1, "upper": 3, "variant": "x"}).splitlines()
    assert len(problems) == 3
    assert "defense relaxloss has no parameter 'alpah'; did you mean 'alpha'? Known: alpha, upper, variant" in problems
    assert "defense relaxloss: upper = 3: Input should be less than or equal to 1" in problems


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A distribution made by hand, with a module `acme`; its plugins are addressed as <distribution>/<name>."""

    def install(entry_points, module=GOOD):
        (tmp_path / "acme.py").write_text(module)
        info = tmp_path / "acme_mia-1.2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-mia\nVersion: 1.2.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "acme", raising=False)  # another test's
        return discover()

    return install


def test_an_installed_package(install):
    found = install("[miabench.defenses]\nmine = acme:Mine\n").get("defense", "acme-mia/mine")
    assert (found.source, found.identity) == ("acme-mia 1.2.0", "1.2.0")
    assert found.build({}).beta == 0.1


@pytest.mark.parametrize(
    ("kind", "entry", "expected"),
    [
        ("defense", "x = acme:NoSuchClass", "cannot be loaded from the entry point 'x = acme:NoSuchClass': Attribute"),
        ("defense", "x = acme Mine", "from the entry point 'x = acme Mine': write NAME = MODULE:CLASS"),
        ("attack", "x = acme:Mine", "cannot be loaded from the entry point 'x = acme:Mine': it is no Attack"),
        ("defense", "x = acme:Base", "Base says baseline = True"),
    ],
)
def test_what_an_installed_plugin_may_not_be(install, kind, entry, expected):
    module = GOOD + "\nclass Base(Defense, frozen=True):\n    baseline = True\n"
    plugins = install(f"[miabench.{kind}s]\n{entry}\n", module)
    said = message(plugins.get(kind, "acme-mia/x").build, {})
    assert said.startswith(f"{kind} acme-mia/x")
    assert expected in said
    assert "discover.py" not in said  # the fault is in no line of ours


def test_a_clash_in_an_installed_package_stops_nobody_else(install):
    """Both spellings of a name are one name."""
    plugins = install("[miabench.defenses]\nmy_own = acme:Mine\nmy-own = acme:Other\nmine = acme:Mine\n")
    assert plugins.get("defense", "acme-mia/mine").build({}).beta == 0.1
    assert message(plugins.get("defense", "acme-mia/my-own").build, {}) == (
        "defense acme-mia/my-own stands for 2 entry points of its package: 'my_own = acme:Mine', 'my-own = acme:Other'"
    )
    (listed,) = [item for item in miabench.list_plugins("defenses") if item["name"] == "acme-mia/my-own"]
    assert "stands for 2 entry points" in listed["broken"]


def test_one_built_in_defense_is_the_baseline_and_what_is_made_from_it_is_none(write):
    text = "from miabench.defenses.ce import CrossEntropy\nclass Mine(CrossEntropy, frozen=True):\n    pass\n"
    plugins = discover([write("mine.py", text)])
    assert [found.name for found in plugins.all("defense") if found.load().is_baseline()] == ["ce"]
    assert plugins.baseline().name == "ce"


def test_names_are_unique_per_kind_only():
    found = discover().get("defense", "ce")
    assert PluginIndex([found, *discover().all("attack")]).get("defense", "ce") is found
    assert issubclass(found.load(), Defense)
    assert not issubclass(found.load(), Attack)


@pytest.mark.parametrize("command", [["--help"], ["train", "--help"], ["run", "--help"]])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys\nfrom miabench.cli import commands as cli\n"
        f"sys.argv = ['miabench', *{command}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'numpy', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage: miabench" in done.stdout
