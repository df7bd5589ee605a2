"""Figures on screens and on paper: their sizes, fonts and headings, and that no text runs into another."""

import itertools
import re
import shutil
import subprocess

import pytest
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from miabench.reports.numbers.evidence import judge
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import all_plots, draw, heat_map, roc, worst_cases
from miabench.reports.plots.figure import finish
from miabench.reports.plots.sheet import SCREEN, WIDTHS, Sheet
from miabench.reports.write import Report

SHEETS = [SCREEN, Sheet("column"), Sheet("page"), Sheet("column", titles=False)]


@pytest.fixture
def results(make_results):
    """Grids whose points lie close together, and values at both ends."""
    auc = {"a-long-name-of-an-attack": 0.99, "nn": 0.9, "loss": 1.0}
    grid = [
        {
            "defense": "crl",
            "params": {"alpha_rce": a},
            "accuracy": 0.75 + (a % 2) / 40,
            "auc": {**auc, "nn": 0.9 + a / 400},
        }
        for a in range(5)
    ]
    perfect = {"defense": "dmp", "accuracy": (1.0, 0.95), "auc": {**auc, "nn": 0.5}}
    return make_results({"auc": auc, "accuracy": 0.8}, *grid, perfect, {"defense": "a-plugin-of-mine", "auc": auc})


def drawn(results, sheet, metric="balanced-accuracy"):
    """Every kind of figure, laid out."""
    summary = summarize(results, metric)
    judged = judge(results, summary)
    for figures in (
        draw(summary, sheet),
        worst_cases.draw(summary, judged, sheet),
        heat_map.draw(summary, sheet),
        roc.draw(results, summary, sheet),
    ):
        for figure in figures.values():
            finish(figure)
            figure.draw_without_rendering()
            yield figure


def texts(figure):
    """What is said around the panels: headings, titles, labels of axes, legends."""
    around = [text for text in figure.texts if text.get_text()]
    titles = [axes.title for axes in figure.axes if axes.get_title()]
    return [*around, *titles, *(text for legend in figure.legends for text in legend.get_texts())]


def covered(one, other):
    shared = Bbox.intersection(one, other)
    return 0 if shared is None else shared.width * shared.height


@pytest.mark.parametrize("sheet", SHEETS, ids=str)
def test_no_text_runs_into_another_or_out_of_the_figure(results, sheet):
    for figure in drawn(results, sheet):
        boxes = {text: text.get_window_extent() for text in texts(figure)}
        for one, other in itertools.combinations(boxes, 2):
            assert covered(boxes[one], boxes[other]) < 5, (one.get_text(), other.get_text())
        for text, box in boxes.items():
            assert covered(box, figure.bbox) > 0.97 * box.width * box.height, text.get_text()


@pytest.mark.parametrize("sheet", SHEETS, ids=str)
def test_labels_of_points_do_not_print_over_each_other(results, sheet):
    for figure in drawn(results, sheet, "auc"):
        for axes in figure.axes:
            labels = [text for text in axes.texts if isinstance(text, Annotation)]
            for one, other in itertools.combinations(labels, 2):
                assert covered(one.get_window_extent(), other.get_window_extent()) < 1, axes.get_title()


def test_the_same_points_have_the_same_places(results):
    def places():
        (figure,) = draw(summarize(results), Sheet("column")).values()
        finish(figure)
        return [text.get_position() for axes in figure.axes for text in axes.texts]

    assert places() == places()
    assert len(set(places())) > 1


@pytest.mark.parametrize("width", WIDTHS)
def test_a_figure_on_paper_has_its_width(results, width):
    for figure in drawn(results, Sheet(width)):
        assert figure.get_figwidth() == WIDTHS[width]


@pytest.mark.parametrize("sheet", SHEETS, ids=str)
def test_axes_of_percent_never_leave_0_to_100_nor_bars(results, sheet):
    for metric in ("auc", "tpr@10%"):
        summary = summarize(results, metric)
        for figure in (*draw(summary, sheet).values(), *worst_cases.draw(summary, judge(results, summary)).values()):
            for axes in figure.axes:
                ends = (*axes.get_xlim(), *axes.get_ylim())
                assert min(ends) >= 0
                assert max(ends) <= 100
                for container in axes.containers:
                    for bars in container.lines[2]:
                        ends = [end for bar in bars.get_segments() for end in bar.flatten() if end == end]
                        assert -1e-9 <= min(ends, default=0) <= max(ends, default=0) <= 100 + 1e-9


def test_without_titles_there_is_no_heading(results):
    assert all(figure.get_suptitle() == "" for figure in drawn(results, Sheet("column", titles=False)))
    assert all(figure.get_suptitle() for figure in drawn(results, Sheet("column")))


def test_svg_has_text_that_can_be_edited_and_pdf_truetype_fonts(results, tmp_path):
    written = all_plots(results, Report(results).tabled, tmp_path, Sheet("column", titles=False))
    for path in written:
        if path.suffix == ".svg":
            assert re.search(r"<text[^>]*>a-plugin-of-mine|<text[^>]*>AUC", path.read_text())
        if path.suffix == ".pdf":
            data = path.read_bytes()
            assert b"/Title" in data
            assert b"/Type3" not in data
            assert b"/FontFile2" in data  # TrueType, embedded
    if shutil.which("pdffonts"):
        listed = subprocess.run(
            ["pdffonts", next(p for p in written if p.suffix == ".pdf")], capture_output=True, text=True
        )
        assert "TrueType" in listed.stdout
