"""The page of all posts in Chromium, from disk, through real clicks and keys."""

import re
import shutil

import pytest

from ita.reporting.pages.scripts import write_script
from tests.reporting.pages.conftest import COUNTS, HOSTILE
from tests.support.browser import another, open_posts
from tests.support.hostile import TEXTS
from tests.support.made_dataset import read_script


def count(page):
    return int(re.match(r"[\d,]+", page.locator("#count").inner_text())[0].replace(",", ""))


def expected(report, outcome, seeds=(0,), needed=1):
    """Test posts of an outcome, counted from the scripts by another way than the page's."""
    posts = [read_script(report / "data" / f"posts-{number}.js") for number in range(2)]
    split, gold = posts[0]["split"] + posts[1]["split"], posts[0]["gold"] + posts[1]["gold"]
    a, b = (read_script(report / "data" / f"run-{number}.js") for number in range(2))

    def right(record, post):
        predicted = {tuple(record[i : i + 3]) for i in range(0, len(record), 6)}
        return predicted == {tuple(gold[post][i : i + 3]) for i in range(0, len(gold[post]), 4)}

    total = 0
    for place, post in enumerate(a["posts"]):
        pairs = [(right(a["views"]["t"][at][place], post), right(b["views"]["it"][at][place], post)) for at in seeds]
        total += split[post] == "test" and sum(pair == outcome for pair in pairs) >= needed
    return total


def test_filters_count_what_the_runs_say(page, report):
    open_posts(page, report)
    assert count(page) == COUNTS["test"]
    for name, outcome in (("helped", (False, True)), ("misled", (True, False)), ("right", (True, True))):
        page.get_by_label("B beside A").select_option(name)
        assert count(page) == expected(report, outcome) > 0
    page.get_by_label("B beside A").select_option("helped")
    page.get_by_text("More filters").click()
    page.get_by_label("Holds in").select_option("most")
    assert count(page) == expected(report, (False, True), (0, 1, 2), 2) > 0
    page.get_by_label("Error", exact=True).select_option("missed")
    fewer = count(page)
    page.get_by_label("Entity type").select_option("LOC")
    assert 0 < count(page) < fewer
    page.get_by_role("button", name="Reset").click()
    page.get_by_label("Split").select_option("dev")
    assert count(page) == COUNTS["dev"]
    for name, label in (("yes", "Picture"), ("seen", "Entities")):
        everything = count(page)
        page.get_by_label(label, exact=True).select_option(name)
        assert 0 < count(page) < everything
    page.get_by_role("button", name="Reset").click()


def test_search_and_its_scopes(page, report):
    open_posts(page, report)
    search, where = page.get_by_role("searchbox", name="Search"), page.get_by_label("Search in")
    search.fill("EXIT")
    assert count(page) > 0, "in the OCR text"
    where.select_option("post")
    assert count(page) == 0 and "No post matches" in page.locator("#post").inner_text()
    search.fill("vospurpo")
    in_posts = count(page)
    where.select_option("entities")
    assert 0 < count(page) <= in_posts
    where.select_option("texts")
    search.fill("number 1 on grass")
    page.wait_for_function("() => document.getElementById('count').textContent.startsWith('334')")  # two of three
    page.get_by_role("button", name="Reset").click()


def test_a_link_leads_to_the_same_post_systems_and_filters(page, report):
    open_posts(page, report)
    page.get_by_label("System B", exact=True).and_(page.locator("select")).select_option("bert/crf")
    page.get_by_label("Seed of system B").select_option("2")
    page.get_by_label("B beside A").select_option("differ")
    page.locator("#rows a").nth(3).click()
    title, text = page.locator("#post h2").inner_text(), page.locator("#post").inner_text()
    address = page.url
    assert "b=bert/crf/2/t" in address and f"post={title}" in address and "outcome=differ" in address
    open_posts(page, report, "#" + address.partition("#")[2])
    assert page.locator("#post h2").inner_text() == title
    page.wait_for_function("text => document.getElementById('post').innerText === text", arg=text)
    page.keyboard.press("j")
    assert page.locator("#post h2").inner_text() != title
    page.keyboard.press("k")
    assert page.locator("#post h2").inner_text() == title
    open_posts(page, report, "#a=bert/ita-all/3/t&b=bert/ita-all/2/it")
    shown = [page.locator(f".side-card-{letter} h3").inner_text().split("\n")[-2:] for letter in "ab"]
    assert shown == [["ITA-All", "T, seed 3"], ["ITA-All", "I+T, seed 2"]]
    open_posts(page, report, "#a=gone/system/1/t&b=x&post=nobody")
    assert page.locator("#post h2").inner_text() == HOSTILE, "what is not there is passed over"


def test_controls_are_not_shown_first(page, report, tmp_path):
    """Texts of other posts are a control; without any text, the last system is the second."""
    copy = shutil.copytree(report, tmp_path / "report")
    about = read_script(report / "data" / "about.js")
    text, image_text = about["systems"]
    assert (text["control"], image_text["control"]) == (False, False)
    control = {**image_text, "key": "bert/ita-random", "name": "ITA Random", "control": True}
    for systems, expected in (
        ([text, image_text, control], "ITA-All"),
        ([text, control], "ITA Random"),
        ([image_text, text], "ITA-All"),
        ([text, {**text, "key": "bert/crf-updates", "name": "Longer"}], "Longer"),
    ):
        write_script(copy, "about", {**about, "systems": systems})
        with another(page) as opened:
            open_posts(opened, copy)
            assert opened.locator("#b-system option:checked").inner_text() == expected


def test_keys_boxes_and_seeds(page, report):
    open_posts(page, report, "#post=test-1")
    page.locator("#boxes").wait_for()
    assert page.locator(".stage rect").count() == 2, "the third object has no box"
    page.locator(".stage svg").wait_for()
    page.keyboard.press("b")
    page.locator(".stage svg").wait_for(state="hidden")
    page.keyboard.press("b")
    page.locator(".tag").first.hover()
    assert page.locator(".stage rect.lit").count() == 1
    page.locator(".side-card-a .seeds button").nth(1).click()
    assert "a=bert/crf/2/t" in page.url
    page.wait_for_function("() => document.activeElement.getAttribute('aria-pressed') === 'true'")
    page.keyboard.press("s")
    assert page.locator(".side-card-b h3 small").inner_text() == "T, seed 2"
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.locator("#q").input_value() == "jk", "letters in a field are letters"
    open_posts(page, report, "#post=test-1&b=bert/ita-all/1/it")
    page.locator("del").wait_for()
    assert page.locator(".contexts del").inner_text().endswith("number 1 on grass")


def test_words_of_posts_do_no_harm(page, report):
    open_posts(page, report, f"#post={HOSTILE}")
    assert page.locator(".gold .sentence").inner_text().endswith(" ".join(TEXTS[-1].split()))
    assert page.locator("#browser script, #browser iframe, #browser svg[onload]").count() == 0
    assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0


def test_a_long_list_has_few_rows(page, report):
    open_posts(page, report)
    page.locator("#scroller").evaluate("node => { node.scrollTop = 300 * 84; }")
    page.wait_for_selector("#rows li[aria-posinset='301']")
    assert page.locator("#rows li").count() < 30
    assert page.locator("#rows li").first.get_attribute("aria-setsize") == str(COUNTS["test"])


def test_a_phone_shows_the_list_or_the_post(page, report):
    with another(page, viewport={"width": 375, "height": 740}, color_scheme="dark") as phone:
        open_posts(phone, report)
        phone.locator("#post").wait_for(state="hidden")
        phone.locator("#rows a").nth(1).click()
        phone.locator("#post h2").wait_for()
        phone.locator("#rows").wait_for(state="hidden")
        assert phone.evaluate("document.documentElement.scrollWidth") <= 375
        phone.get_by_role("button", name="Back to the list").click()
        phone.locator("#rows").wait_for()
        phone.locator("#rows a").nth(1).click()
        phone.go_back()
        phone.locator("#rows").wait_for()
        phone.emulate_media(media="print")
        phone.locator("#post").wait_for()
        phone.locator("#rows").wait_for(state="hidden")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_has_nothing_to_say(page, report, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with another(page, viewport={"width": width, "height": 800}, color_scheme=scheme) as shown:
        for state in ("", "#post=test-1&outcome=differ"):
            open_posts(shown, report, state)
            if not state:
                shown.get_by_text("More filters").click()
            assert axe.Axe().run(shown).response["violations"] == [], state
        shown.goto(f"file://{report}/index.html")
        assert axe.Axe().run(shown).response["violations"] == []
