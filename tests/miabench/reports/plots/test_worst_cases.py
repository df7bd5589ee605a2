"""The figure of the worst cases: what its panels are of."""

from miabench.reports.numbers.evidence import judge
from miabench.reports.numbers.summary import summarize
from miabench.reports.plots import worst_cases

WHOLE = {"gap": 0.7, "augmentation-agreement": 0.6, "noise-agreement": 0.6}
ACCESS = dict.fromkeys(WHOLE, "label")


def titles(results):
    summary = summarize(results)
    (figure,) = worst_cases.draw(summary, judge(results, summary)).values()
    return [axes.get_title() for axes in figure.axes]


def test_panels_say_of_how_many_attacks_their_worst_cases_are(make_results):
    (title,) = titles(make_results({"auc": {"gap": 0.7}}, {"defense": "crl"}, access={"gap": "label"}))
    assert title == "label-only attacks (1 of 3), AUC"


def test_a_panel_of_all_attacks_of_its_level_counts_none(make_results):
    assert titles(make_results({"auc": WHOLE}, {"defense": "crl"}, access=ACCESS)) == ["label-only attacks, AUC"]


def test_a_panel_whose_lines_lack_different_attacks_has_every_count(make_results):
    short = {**WHOLE, "augmentation-agreement": "no images"}
    (title,) = titles(make_results({"auc": WHOLE}, {"defense": "crl", "auc": short}, access=ACCESS))
    assert title == "label-only attacks (3 or 2 of 3), AUC"
