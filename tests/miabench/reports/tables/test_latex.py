"""LaTeX is compiled, where there is an engine, and the page's text read back."""

import re
import shutil
import subprocess

import pytest

from miabench.reports.numbers.selection import Selection
from miabench.reports.tables.latex import LETTERS, ROWS, SPECIAL, escape, to_latex
from miabench.reports.write import Report

ENGINE = shutil.which("pdflatex") or shutil.which("lualatex") or shutil.which("tectonic")


@pytest.fixture
def latex():
    def make(results):
        return to_latex(Report(results).tabled, "torch 2.9")

    return make


@pytest.fixture
def compiled(tmp_path):
    """The text of the compiled pages, and what the engine said."""
    if ENGINE is None:
        pytest.skip("needs a TeX engine")

    def compile(text, name="results"):
        (tmp_path / f"{name}.tex").write_text(text, encoding="utf-8")
        options = [] if "tectonic" in ENGINE else ["-interaction=nonstopmode", "-halt-on-error"]
        done = subprocess.run([ENGINE, *options, f"{name}.tex"], cwd=tmp_path, capture_output=True, check=False)
        log = done.stdout.decode(errors="replace")
        assert done.returncode == 0, log[-2000:]
        pdf = tmp_path / f"{name}.pdf"
        if not shutil.which("pdftotext"):
            pytest.skip("needs pdftotext to read the page")
        return subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, check=True).stdout.decode(), log

    return compile


def test_the_layout_of_table_1(make_results, latex):
    results = make_results(
        {"accuracy": (0.8, 0.9, 0.85), "auc": {"entropy": (0.9, 0.8, 0.85)}},
        {"defense": "crl", "params": {"alpha_rce": 0.5}, "auc": {"entropy": 0.6}},
        {"model": "cnn"},
        runs=3,
        warnings=("alpha\nis low",),
    )
    lines = latex(results).splitlines()
    assert r"model & approach & train acc. $\uparrow$ & test acc. $\uparrow$ & entropy $\downarrow$ \\" in lines
    spread = r"{\scriptsize ($\pm$%s)}"
    zero, some = spread % "0.00", spread % "5.00"
    assert rf"mlp & ce (no defense) & 100.00 {zero} & 85.00 {some} & 85.00 {some} \\" in lines
    assert rf" & crl alpha\_rce=0.5$^\dagger$ & 100.00 {zero} & 80.00 {zero} & \textbf{{60.00 {zero}}} \\" in lines
    at = lines.index(rf"cnn & ce (no defense) & 100.00 {zero} & 80.00 {zero} & 90.00 {zero} \\")
    assert lines[at - 1] == r"\midrule"
    assert "warning: alpha is low" in lines
    below = next(line for line in lines if line.startswith(r" &  &  & "))
    assert below == r" &  &  &  & {\scriptsize entropy} \\"
    caption = next(line for line in lines if line.startswith(r"\caption"))
    for said in (
        "Seed 0",
        "Made with torch 2.9",
        "Protocol disjoint",
        "Bold: the lowest value of its column that is lower than ce's",
        "3 trainings per cell",
    ):
        assert said in caption


def test_many_lines_go_on_in_another_float(make_results, latex):
    cells = [{"defense": "crl", "params": {"alpha_rce": i}, "auc": {"entropy": 0.7}} for i in range(ROWS + 1)]
    text = latex(make_results(*cells, runs=1, records=4))
    captions = re.findall(r"\\caption{(.*)}", text)
    title = "toy, mlp: accuracy, and AUC of each attack, in percent"
    assert [caption for caption in captions if caption.startswith(title)] == [f"{title}.", f"{title} (continued)."]
    first, second = text.partition(title)[2].split("\\end{table}")[:2]
    assert (first.count("crl alpha"), second.count("crl alpha")) == (ROWS, 1)
    assert second.strip().startswith("\\clearpage\n")


@pytest.mark.parametrize("runs", [1, 3])
def test_captions_explain_the_spread_of_tables_that_have_one(make_results, latex, runs):
    text = latex(make_results({"auc": {"nn": 0.9, "entropy": 0.8}}, {"defense": "crl"}, runs=runs))
    floats = [part.partition(r"\end{table")[0] for part in text.split(r"\caption")[1:]]
    explained = [r"$\pm$ is the spread" in part for part in floats]
    assert explained == [r"($\pm$0" in part for part in floats]
    assert any(explained) == (runs > 1)
    assert not explained[0]


def test_labels_are_short_and_each_their_own(make_results, latex):
    labels = re.findall(r"\\label{(.*)}", latex(make_results({"auc": {"entropy": 0.9}}, {"defense": "crl"}, runs=3)))
    assert labels[:2] == [
        "tab:toy-mlp-the-strongest-attack-of-each-kind",
        "tab:toy-mlp-accuracy-and-auc-of-each-attack",
    ]
    assert len(labels) == 3
    assert len(set(labels)) == len(labels)
    assert all("95" not in label and "not-distinguishable" not in label for label in labels)


def test_what_a_titles_brackets_say_is_in_no_label(make_results):
    results = make_results({"auc": {"entropy": 0.9}}, {"defense": "crl"}, runs=3)
    made = Report(results, selection=Selection(metric="advantage"))
    labels = re.findall(r"\\label{(.*)}", to_latex(made.tabled, "torch 2.9"))
    assert "tab:toy-mlp-accuracy-and-advantage" in labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5% #1 $x$ {y}", r"a\_b \& 5\% \#1 \$x\$ \{y\}"),
        ("--a ''", "-{}-a '{}'"),
        ("[x]", "{}[x]"),
        ("\\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("β ± 中", r"$\beta$ $\pm$ U+4E2D"),
        ("a\nb\u2028c", "a b c"),
    ],
)
def test_text_is_escaped(text, expected):
    assert escape(text) == expected


def test_the_table_compiles_as_it_is(make_results, latex, compiled):
    hostile = "\\input{x} a_b^c~d # $ % & {e} <f> |g| \"h\" `i` --j ''k [l] *"
    results = make_results(
        {"auc": {hostile: 0.9, "nn": 0.9}},
        {"defense": hostile, "auc": {hostile: f"because {hostile}", "nn": 0.7}},
        {"defense": "[second", "auc": {hostile: 0.6, "nn": 0.8}},
        {"defense": "*star", "dataset": "other"},
        notes=("".join(SPECIAL), "".join(sorted(LETTERS)), "中文 🙂"),
        warnings=(hostile,),
    )
    text, log = compiled(latex(results))
    assert "Overfull \\hbox" not in log.split("[1")[0]
    flat = " ".join(text.split())
    assert "\\input{x} a_b^c~d # $ % & {e} <f> |g|" in flat
    assert "[second" in flat
    assert "*star" in flat
    assert "n/a1" in flat
    assert "U+4E2DU+6587 U+1F642" in flat
    assert "warning: \\input{x} a_b^c~d" in flat


def test_the_table_can_be_put_into_a_document(make_results, latex, compiled, tmp_path):
    (tmp_path / "inner.tex").write_text(latex(make_results({}, {"defense": "crl"})), encoding="utf-8")
    head = (
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}BEFORE \input{inner} AFTER\end{document}"
    )
    text, _ = compiled(head, "paper")
    assert "BEFORE" in text
    assert "AFTER" in text
    assert "ce (no defense)" in text
