"""The page of tables in Chromium, from disk, through real clicks and keys."""

import pytest

from tests.support.browser import another
from tests.support.made_dataset import read_script


def test_sort_filter_hide_and_open_a_score(page, report):
    page.goto(f"file://{report}/tables.html")
    section = page.locator("#table1")
    names = section.locator("tbody th:visible")
    heads = section.get_by_role("columnheader")
    assert names.all_inner_texts() == ["BERT-CRF", "ITA-All"]
    section.get_by_role("button", name="T", exact=True).click()
    assert heads.filter(has_text="T").and_(page.locator("[aria-sort=descending]")).count() == 1
    scores = [float(text.split()[0]) for text in section.locator("td:nth-child(4)").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    section.get_by_role("button", name="Approach").click()
    section.get_by_role("button", name="Approach").click()
    assert names.all_inner_texts() == ["ITA-All", "BERT-CRF"]
    assert page.locator("#table1 [aria-sort]").all_inner_texts() == ["Approach"]
    section.get_by_label("Filter rows").fill("ita")
    assert names.all_inner_texts() == ["ITA-All"]
    assert section.get_by_role("status").inner_text() == "1 of 2 rows"
    section.get_by_text("Columns", exact=False).first.click()
    section.get_by_label("p I+T", exact=True).check()
    section.get_by_role("button", name="p I+T").wait_for()
    section.get_by_label("T", exact=True).uncheck()
    assert section.get_by_role("button", name="T", exact=True).count() == 0
    page.keyboard.press("Escape")
    score = section.locator("button.score:visible").last
    text = score.inner_text()
    score.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    cells = read_script(report / "data" / "tables.js")["cells"]
    record = next(record for record in cells if record["text"] == text)
    assert dialog.get_by_role("heading", level=2).inner_text() == f"ITA-All, BERT: {text}"
    assert dialog.locator(".seeds-drawn circle").count() == len(record["seeds"]) == 3
    dialog.get_by_text("Difference to BERT-CRF (T)").wait_for()
    address = dialog.get_by_role("link", name="settings").first.get_attribute("href")
    assert (report / address).is_file()
    dialog.get_by_text("Settings of these runs").click()
    dialog.get_by_text("train.epochs").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    assert page.evaluate("document.activeElement.textContent") == text


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_has_nothing_to_say_and_nothing_is_cut(page, report, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with another(page, viewport={"width": width, "height": 800}, color_scheme=scheme) as shown:
        shown.goto(f"file://{report}/tables.html")
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        shown.locator("#table1").get_by_text("Columns", exact=False).first.click()
        assert axe.Axe().run(shown).response["violations"] == []
        shown.keyboard.press("Escape")
        shown.locator("button.score").last.click()
        shown.get_by_text("Settings of these runs").click()
        assert axe.Axe().run(shown).response["violations"] == []
