"""The web page as text: complete, self-contained, escaped."""

import re
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

import miabench
from miabench.experiment.load import load_experiment
from miabench.reports.page import page
from miabench.reports.page.page import to_html
from miabench.reports.write import Report
from miabench.results.index import Index
from miabench.results.results import Results
from miabench.store.store import Store, digest

VOID = {"meta", "link", "input", "br"}


class Elements(HTMLParser):
    """Tags with their attributes, and the text outside of script and style; fails on tags that do not pair."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.stack = [], [], []
        self.feed(html)
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if not self.stack or self.stack[-1] not in ("script", "style"):
            self.text.append(data)


def figure():
    drawn = Figure(figsize=(2, 1))
    drawn.add_subplot().plot([1, 2], [1, 2], marker="o")
    return drawn


def render(results, figures=None):
    made = Report(results)
    return to_html(results, made.tabled, made.answer, figures or {})


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny):
    """A real experiment, with histories and costs."""
    store = tmp_path_factory.mktemp("page") / "store"
    experiment = tiny(defense=["ce", "relaxloss"], runs=2)
    miabench.run(experiment, store=store, executor="inline")
    return Results(Index.load(Store(store), load_experiment(experiment)), Store(store))


def test_a_page_of_a_real_experiment(trained):
    html = render(trained)
    found = Elements(html)
    text = " ".join(" ".join(found.text).split())
    assert "toy, mlp hidden=[16]: cost of one target, everything it starts from included" in text
    assert "toy, mlp hidden=[16]: the strongest attack of each kind, in percent [95% interval]" in text
    assert "AUC of each attack, in percent; differences in points" in text
    assert "minus ce [95% interval]" in text
    key = digest(trained.index.experiment.model_dump(mode="json"))
    assert f"hash {key} :" in text
    for entry in trained.index.entries:
        if entry.attack is None:
            assert entry.network.key in text
    assert "[schedule] epochs = 3" in text
    assert "40 members, 40 non-members" in text
    labels = [attrs["aria-label"] for _, attrs in found.tags if attrs.get("role") == "img"]
    assert [label.split(" over")[0] for label in labels] == ["loss", "accuracy"] * 2 + ["rce: share of steps"]
    assert re.search(r"torch \d", text)


def test_run_by_run_accuracies(make_results):
    text = " ".join(" ".join(Elements(render(make_results({"accuracy": (0.8, 0.9)}))).text).split())
    assert "run train acc. test acc. network in the store 0 100.00 80.00 1 100.00 90.00" in text


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7*7 }}", "'&lt;"]
)
def test_what_the_user_wrote_is_never_markup(make_results, hostile):
    results = make_results(
        {"auc": {hostile: 0.9, "nn": 0.9}, "dataset": hostile, "model": hostile},
        {"defense": hostile, "auc": {hostile: hostile, "nn": 0.5}, "dataset": hostile, "model": hostile},
        {"defense": "dmp", "params": {"mode": hostile}, "reason": hostile, "dataset": hostile, "model": hostile},
        notes=(hostile,),
        warnings=(hostile,),
        environments=({"torch": hostile},),
    )
    found = Elements(render(results, {hostile: figure()}))
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert "img" not in [tag for tag, _ in found.tags]
    assert not [attrs for _, attrs in found.tags if any(name.startswith("on") for name in attrs)]
    text = "".join(found.text)
    for said in (f"{hostile}, {hostile}: accuracy", f"n/a: {hostile}", f"note: {hostile}", f"mode={hostile}"):
        assert said in text
    assert f'path = "{hostile}"' not in text


def test_nothing_is_asked_of_the_network(make_results):
    html = render(make_results({}), {"a": figure()})
    found = Elements(html)
    links = [
        attrs[name] for _, attrs in found.tags for name in ("src", "href", "xlink:href", "action") if name in attrs
    ]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "@import" not in html
    assert all(url.startswith("#") for url in re.findall(r"url\(([^)]*)\)", html))


def test_ids_are_unique_and_every_reference_has_one(make_results):
    results = make_results({}, {"defense": "crl", "auc": {"entropy": "no gradient"}})
    html = render(results, {"a": figure(), "b": figure()})
    tags = Elements(html).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    wanted = [
        attrs[name][1:] for _, attrs in tags for name in ("href", "xlink:href") if attrs.get(name, "").startswith("#")
    ]
    wanted += [
        attrs[name] for _, attrs in tags for name in ("aria-labelledby", "aria-describedby", "for") if name in attrs
    ]
    wanted += re.findall(r"url\(#([^)]*)\)", html)
    assert set(wanted) <= set(ids)
    assert "note-1" in wanted


def test_tables_are_labelled_for_screen_readers(make_results):
    tags = Elements(render(make_results({}, {"model": "cnn"}))).tags
    scopes = [attrs.get("scope") for tag, attrs in tags if tag == "th"]
    assert None not in scopes
    assert {"row", "col"} == set(scopes)
    names = [tag for tag, _ in tags]
    assert names.count("caption") == [attrs.get("class") for _, attrs in tags].count("sortable") == 3
    assert ("html", {"lang": "en"}) in tags


def test_the_same_results_give_the_same_page(make_results):
    results = make_results({})
    assert render(results, {"a": figure()}) == render(results, {"a": figure()})


def test_curves_of_many_cells_are_left_out(trained, monkeypatch):
    monkeypatch.setattr(page, "CELLS_WITH_CURVES", 1)
    html = render(trained)
    assert "Training curves are left out: there are too many cells." in html
    assert "polyline" not in html.split("</style>")[1]
