"""The web page in headless Chromium, where it is installed."""

import shutil

import pytest

from miabench.reports.page.page import to_html
from miabench.reports.plots import draw
from miabench.reports.write import Report

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def made():
    """The page, made once: by its fixture for the first test."""
    return {}


@pytest.fixture
def page(browser, make_results, made, tmp_path):
    """The page of four cells on a phone's width; it may ask for nothing and complain of nothing."""
    if not made:
        made["html"] = hostile_page(make_results)
    path = tmp_path / "report.html"
    path.write_text(made["html"], encoding="utf-8")
    opened, said = browser.new_page(viewport={"width": 375, "height": 800}), []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: said.append(request.url))
    opened.goto(path.as_uri())
    yield opened
    assert said == [path.as_uri()]  # no error, and no request but the page itself
    opened.close()


def hostile_page(make_results):
    long = "a-defense-with-a-very-long-name-that-nobody-should-use-but-somebody-will"
    results = make_results(
        {"accuracy": 0.8, "auc": {"entropy": 0.9, "nn": 0.85}},
        {"defense": "crl", "params": {"alpha_rce": 1}, "accuracy": 0.7, "auc": {"entropy": 0.6, "nn": "no gradient"}},
        {"defense": "dmp", "accuracy": 0.75, "auc": {"entropy": 0.7, "nn": 0.75}},
        {"defense": long, "accuracy": 0.775, "auc": {"entropy": 0.65, "nn": 0.7}},
        warnings=("</script><script>document.title = 'injected'</script>", "w" * 300),
    )
    report = Report(results)
    figures = {f"{dataset}, {model}": figure for (dataset, model), figure in draw(report.summary).items()}
    return to_html(results, report.tabled, report.answer, figures)


def rows(page):
    """Of the table of all attacks, which follows the worst cases."""
    return page.locator("table.sortable >> nth=1 >> css=tbody tr:visible").locator("th").all_inner_texts()


def header(page, name):
    return page.locator("table.sortable").nth(1).locator("thead th", has_text=name)


def test_sorting_by_number_keeps_missing_values_last(page):
    original = rows(page)
    nn = header(page, "nn")
    nn.get_by_role("button").click()
    assert nn.get_attribute("aria-sort") == "ascending"
    ascending = rows(page)
    assert [name.split("-")[0] for name in ascending] == ["a", "dmp", "ce (no defense)", "crl alpha_rce=1†"]
    nn.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert nn.get_attribute("aria-sort") == "descending"
    assert rows(page) == [*ascending[:3][::-1], ascending[3]]
    page.keyboard.press("Space")
    assert nn.get_attribute("aria-sort") is None
    assert rows(page) == original


def test_sorting_by_name_and_one_column_at_a_time(page):
    header(page, "entropy").get_by_role("button").click()
    header(page, "approach").get_by_role("button").click()
    assert header(page, "entropy").get_attribute("aria-sort") is None
    assert [name.split("-")[0] for name in rows(page)] == ["a", "ce (no defense)", "crl alpha_rce=1†", "dmp"]


def test_filtering(page):
    box = page.get_by_label("Show only rows with")
    box.fill("CRL")
    assert rows(page) == ["crl alpha_rce=1†"]
    assert page.get_by_role("status").inner_text() == "6 of 24 rows"  # of all tables
    box.fill("-crl -long toy")
    assert rows(page) == ["ce (no defense)", "dmp"]
    box.fill("")
    assert len(rows(page)) == 4
    assert page.get_by_role("status").inner_text() == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 375, 1280])
def test_the_page_never_scrolls_sideways(page, width, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_colours_follow_the_scheme(page):
    colors = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        colors.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colors == ["rgb(255, 255, 255)", "rgb(18, 22, 27)"]


def test_a_link_in_the_table_opens_the_cell(page):
    page.get_by_role("link", name="dmp").first.click()
    assert page.locator("details[open] h3").all_inner_texts() == ["toy, mlp: dmp"]
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_the_mark_beside_a_cell_leads_to_its_note(page):
    row = page.get_by_role("rowheader", name="crl alpha_rce=1").first
    assert row.get_by_role("link").count() == 2  # the cell, and the mark
    row.get_by_role("link", name="tuned on target").click()
    assert page.locator(":target").inner_text().startswith("† tuned on target: hyper-parameters")
    assert page.locator("details[open]").count() == 0


def test_the_first_tab_stop_skips_to_the_summary(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the summary"


def test_user_text_runs_no_script(page):
    assert page.title() == "toy, mlp: privacy and utility of defenses"
