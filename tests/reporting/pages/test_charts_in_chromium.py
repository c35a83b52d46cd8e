"""The page of charts in Chromium, from disk."""

import pytest

from tests.support.browser import another


def test_charts_of_one_system_and_their_numbers(page, report):
    page.goto(f"file://{report}/charts.html")
    charts = page.locator("figure.chart:visible")
    everything = charts.count()
    assert page.get_by_role("status").inner_text() == f"{everything} charts"
    colours = page.locator("figure.chart svg path[stroke*='--view']").evaluate_all(
        "nodes => nodes.map(node => getComputedStyle(node).stroke)"
    )
    assert set(colours) == {"rgb(31, 111, 180)", "rgb(194, 74, 0)"}, "colours of the page"
    page.get_by_label("System").select_option("ITA-All")
    assert charts.count() == 4 and page.get_by_role("status").inner_text() == f"4 of {everything} charts"
    assert set(charts.evaluate_all("nodes => nodes.map(node => node.dataset.name)")) == {"ITA-All"}
    page.get_by_text("Numbers").and_(page.locator(":visible")).first.click()
    assert page.get_by_role("region", name="learning curve of ITA-All, BERT").get_by_role("row").count() == 4
    page.get_by_role("img", name="mean dev F1 over 3 epochs").first.wait_for()
    page.emulate_media(color_scheme="dark")
    ink = page.locator("figure.chart:visible svg use").first.evaluate(
        "node => getComputedStyle(node.closest('[fill]')).fill"
    )
    page.emulate_media(color_scheme="light")
    assert ink == "rgb(125, 133, 144)", "the one of the dark mode"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_has_nothing_to_say_and_nothing_is_cut(page, report, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with another(page, viewport={"width": width, "height": 800}, color_scheme=scheme) as shown:
        shown.goto(f"file://{report}/charts.html")
        for summary in shown.get_by_text("Numbers").all():
            summary.click()
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert axe.Axe().run(shown).response["violations"] == []
