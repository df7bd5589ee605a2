"""An audit in every form: the same table, the verdict, notes and warnings, and its ROC curves."""

import dataclasses
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from miabench import Audit, UserError
from miabench.auditing.audit import audit
from miabench.metrics import auc
from miabench.reports.audit_table import FORMS, audit_table, save, write
from miabench.reports.plots import audit_roc
from miabench.reports.words.footnotes import Reasons

LATEX = shutil.which("pdflatex") or shutil.which("lualatex") or shutil.which("tectonic")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    rng = np.random.default_rng(0)
    for name, sharpness in (("m", 3), ("n", 1)):
        labels = rng.integers(3, size=50)
        logits = rng.normal(size=(50, 3)) + sharpness * np.eye(3)[labels]
        np.savez(folder / f"{name}.npz", logits=logits, labels=labels)
    found = audit(folder / "m.npz", folder / "n.npz")
    return dataclasses.replace(found, warnings=(*found.warnings, "<script>alert('x')</script> & 100% of a_b"))


def text_of(html):
    """What a reader sees of a page, words apart by one space."""
    seen = []

    class Reader(HTMLParser):
        hidden = False

        def handle_starttag(self, tag, attrs):
            self.hidden = tag == "style"

        def handle_endtag(self, tag):
            self.hidden = False

        def handle_data(self, data):
            if not self.hidden:
                seen.append(data)

    Reader().feed(html)
    return " ".join(" ".join(seen).split())


def test_the_strongest_attack_stands_first_below_the_baseline(found):
    rows = audit_table(found, Reasons()).rows
    numbers = [row.values[0].number for row in rows]
    assert rows[0].names == ("gap",)
    run = [number for number in numbers[1:] if number is not None]
    assert run == sorted(run, reverse=True)
    assert numbers[1 + len(run) :] == [None] * (len(numbers) - 1 - len(run))
    assert len(run) >= 4


@pytest.mark.parametrize("form", ["markdown", "html"])
def test_numbers_verdict_notes_and_warnings_are_in_every_form(found, form):
    text = FORMS[form](found)
    text = text_of(text) if form == "html" else " ".join(re.sub(r"\\(?=[\[\]_*])", "", text).split())
    assert found.verdict in text
    for row in audit_table(found, Reasons()).rows:
        assert row.names[0] in text
        assert row.values[0].beside in text
    assert "accuracy on members " in text
    assert "members and non-members must come from one distribution" in text
    assert "needs 100 non-members, has 50" in text


@pytest.mark.skipif(LATEX is None, reason="no LaTeX here")
def test_latex_sets_it(found, tmp_path):
    (tmp_path / "audit.tex").write_text(FORMS["latex"](found))
    flags = [] if "tectonic" in LATEX else ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run([LATEX, *flags, "audit.tex"], cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "audit.pdf").stat().st_size > 10_000


def test_no_line_of_the_page_ends_within_an_option(found):
    found = dataclasses.replace(found, warnings=("give --shadow-members <x> & not -x, a--b",))
    page = FORMS["html"](found)
    assert 'give <span class="option">--shadow-members</span> &lt;x&gt; &amp; not -x, a--b' in page
    assert ".option { white-space: nowrap; }" in page
    assert '<span class="option">--reference-answers</span>' in page, "in notes too"


def test_text_from_outside_makes_no_markup(found):
    page = FORMS["html"](found)
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; 100% of a_b" in page
    assert r"100\% of a\_b" in FORMS["latex"](found)
    assert r"&lt;script&gt;" in FORMS["markdown"](found)


def test_footnotes_of_the_page_are_links(found):
    page = FORMS["html"](found)
    links, targets = (set(re.findall(rf'{mark}note-(\d+)"', page)) for mark in ('href="#', 'id="'))
    assert links
    assert links == targets


def test_a_page_without_curves(found):
    page = FORMS["html"](dataclasses.replace(found, scores={}))
    assert "ROC curves" not in page
    assert "<svg" not in page


# --- curves ---


def lines_of(figure):
    """Curves by attack, in the order of the legend."""
    (axes,) = figure.axes
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    curves = [line for line in axes.lines if line.get_drawstyle().startswith("steps")]
    return dict(zip(names, curves, strict=False))


def test_a_curve_for_every_attack_with_its_auc(found):
    curves = lines_of(audit_roc.draw(found))
    aucs = {name: auc(scores, found.member).value for name, scores in found.scores.items()}
    expected = [f"{name}, AUC {100 * value:.2f}" for name, value in sorted(aucs.items(), key=lambda one: -one[1])]
    assert list(curves) == expected
    styles = {(line.get_color(), line.get_linestyle()) for line in curves.values()}
    assert len(styles) == len(curves)


def test_the_curve_is_the_attacks(found):
    """Each point is what some threshold reaches, counted."""
    ((_, line),) = lines_of(audit_roc.draw(dataclasses.replace(found, scores={"one": found.scores["entropy"]}))).items()
    scores, member = found.scores["entropy"], found.member
    reached = {((scores[~member] >= t).mean(), (scores[member] >= t).mean()) for t in [*np.unique(scores), np.inf]}
    drawn = set(zip(*line.get_data(), strict=True))
    assert len(drawn) > 10
    assert all(any(np.allclose(point, other) for other in reached) for point in drawn)


def test_an_attack_that_scored_a_part_is_drawn_by_that(found):
    part = np.where(np.arange(100) % 2, found.scores["entropy"], np.nan)
    (label,) = lines_of(audit_roc.draw(dataclasses.replace(found, scores={"part": part})))
    there = np.arange(100) % 2 == 1
    assert label == f"part, AUC {100 * auc(part[there], found.member[there]).value:.2f}"


def test_a_long_name_goes_on_in_the_next_line_with_its_auc(found):
    scores = {"adversarial-distances": found.scores["entropy"], "pays-$5-or-$6": found.scores["confidence"]}
    figure = audit_roc.draw(dataclasses.replace(found, scores=scores))
    labels = [text.get_text().split("\n") for text in figure.legends[0].get_texts()]
    long, paid = (next(lines for lines in labels if lines[0].startswith(start)) for start in ("adv", "pays"))
    assert long[0] == "adversarial-distances,"
    assert long[1].startswith("  AUC ")
    assert paid[0].startswith(r"pays-\$5-or-\$6, AUC ")


def test_nothing_to_draw(found):
    assert audit_roc.draw(dataclasses.replace(found, scores={})) is None


# --- files ---


def test_everything_in_a_folder(found, tmp_path, capsys):
    write(found, "csv")
    out, written = capsys.readouterr().out, save(found, tmp_path / "out")
    names = ["results.csv", "results.json", "results.md", "results.tex", "report.html", "audit.npz"]
    names += [f"plots/roc{suffix}" for suffix in (".png", ".svg", ".pdf")]
    assert written == [tmp_path / "out" / name for name in names]
    assert (tmp_path / "out" / "results.csv").read_text() == out
    assert Audit.load(tmp_path / "out" / "audit.npz").summary() == found.summary()
    assert (tmp_path / "out" / "plots" / "roc.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_for_a_paper(found, tmp_path):
    save(found, tmp_path, "column", titles=False)
    text = re.sub("(?s)<(title|metadata)>.*?</\\1>", "", (tmp_path / "plots" / "roc.svg").read_text())
    assert float(re.search(r'width="([\d.]+)pt"', text)[1]) == pytest.approx(72 * 3.33)
    assert "ROC of each attack" not in text


def test_a_folder_that_cannot_be_written(found, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the audit to .*file: .*; choose another folder with --out"):
        save(found, tmp_path / "file")
