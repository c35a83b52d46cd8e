"""What tables and figures show, with the systems and encoders that a data set has."""

import json
import re

import pytest
import yaml

from ita.config.levels import merge
from ita.config.resolve import Resolver
from ita.errors import ConfigError
from ita.reporting import reported
from ita.workflow.displays import Displays, NothingToShow
from ita.workflow.jobs import Jobs
from ita.workflow.sections import Sections
from tests.support.paths import ROOT

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
TWO = {"table": {"systems": ["crf", "ita-all-cva"], "encoders": ["minilm"]}}


def mine(own, **general):
    """Tables and figures of a data set ``mine``."""
    return Displays(Sections(Resolver(merge(CONFIG, {"datasets": {"mine": own}, **general}))))


def runs_of_paper(own):
    """Encoder and system of all runs that the folder ``paper`` of ``mine`` reads."""
    jobs = Jobs(merge(CONFIG, {"datasets": {"mine": own}}))
    files = jobs.inputs("paper")({"dataset": "mine"})["files"]
    names = {re.match(r"results/mine/(\w+)\.", file)[1] for file in files}
    wanted = {name: stage for stage in ("table", "figure") for name in CONFIG[f"{stage}s"]}
    inputs = [jobs.inputs(wanted[name])({"dataset": "mine", wanted[name]: name}) for name in names - {"cases"}]
    if "cases" in names:
        inputs.append(jobs.inputs("cases")({"dataset": "mine"}))
    paths = [path for read in inputs for files in read.values() for path in files]
    return {tuple(path.split("/")[3:5]) for path in paths if "/runs/" in path}, names


def test_the_paper_of_two_systems_and_one_encoder_is_made_of_those():
    runs, names = runs_of_paper(TWO)
    assert runs == {("minilm", "crf"), ("minilm", "ita-all-cva"), ("minilm", "crf-updates")}
    assert names == {*(f"table{number}" for number in range(1, 7)), "analysis", "curves", "figure3"}


def test_the_paper_of_a_data_set_without_its_own_is_the_general_one():
    runs, names = runs_of_paper({})
    assert {encoder for encoder, _ in runs} == {"bert", "xlmr"}
    assert {"umt", "umt-words", "umgf", "umgf-whole", "rpbert", "crf-x"} <= {system for _, system in runs}, (
        "Tables 2, 3"
    )
    assert {"ita-ga10", "imgfeat", "ita-random", "ita-all-structural"} <= {system for _, system in runs}
    assert "cases" in names


def test_names_that_the_data_set_has_stay_in_order_and_others_go():
    own = {"table": {"systems": ["ita-joint", "ita-all-cva", "crf", "ita-ga-bu"], "encoders": ["bert"]}}
    displays = mine(own)
    assert displays.of("mine", "table", "table4").settings["systems"] == ["ita-ga-bu", "ita-joint", "ita-all-cva"]
    assert displays.of("mine", "table", "table2").settings["systems"] == ["crf", "ita-all-cva"]
    assert displays.of("mine", "table", "table1").settings["systems"] == own["table"]["systems"]
    assert displays.of("mine", "figure", "curves").settings["systems"] == own["table"]["systems"]


def test_none_left_gives_the_data_sets_own():
    displays = mine({"table": {"systems": ["crf", "ita-la"], "encoders": ["minilm"]}})
    display = displays.of("mine", "table", "table4")
    assert (display.settings["systems"], display.encoders) == (["crf", "ita-la"], ["minilm"])


def test_what_the_data_set_sets_itself_is_not_restricted():
    own = {
        **TWO,
        "tables": {"table4": {"systems": ["ita-joint"]}},
        "figures": {"figure2": {"systems": ["crf", "ita-ga1"]}},
    }
    displays = mine(own)
    assert displays.of("mine", "table", "table4").settings["systems"] == ["ita-joint"]
    assert displays.of("mine", "table", "table4").encoders == ["minilm"], "each of the two by itself"
    assert displays.of("mine", "figure", "figure2").settings["systems"] == ["crf", "ita-ga1"]


def test_nor_what_the_command_line_sets():
    config = merge(CONFIG, {"datasets": {"mine": TWO}})
    displays = Displays(Sections(Resolver(config, {"tables": {"table4": {"systems": ["ita-joint"]}}})))
    assert displays.of("mine", "table", "table4").settings["systems"] == ["ita-joint"]


def test_a_figure_of_which_nothing_is_left_is_left_out_with_the_reason():
    own = {"table": {"systems": ["crf", "ita-la"], "encoders": ["minilm"]}}
    with pytest.raises(NothingToShow, match=r"figures\.figure2: .* same number of captions \(crf\)"):
        mine(own).of("mine", "figure", "figure2")
    only_text = {"table": {"systems": ["crf"], "encoders": ["minilm"]}}
    with pytest.raises(NothingToShow, match=r"figures\.figure3: none of its systems reads anything of the image"):
        mine(only_text).of("mine", "figure", "figure3")
    values, left_out = mine(only_text).paper("mine")
    assert values["figures"] == ["curves"] and values["cases"] is False
    assert left_out.keys() == {"figure2", "figure3", "cases"}
    settings = json.loads(Jobs(merge(CONFIG, {"datasets": {"mine": only_text}})).settings("paper")({"dataset": "mine"}))
    assert settings["left_out"] == left_out and settings["paper"] == values


def test_the_report_shows_the_systems_of_the_tables_or_its_own():
    general = mine({}).report("mine")
    assert general["systems"] == CONFIG["table"]["systems"] and general["encoders"] == CONFIG["table"]["encoders"]
    assert mine(TWO).report("mine")["systems"] == TWO["table"]["systems"]
    values = mine({**TWO, "report": {"systems": ["ita-ga"], "splits": ["test"]}}).report("mine")
    assert (values["systems"], values["encoders"], values["splits"]) == (["ita-ga"], ["minilm"], ["test"])
    assert values["tables"] == mine(TWO).paper("mine")[0]["tables"], "those of the paper"
    assert mine({"report": {"tables": ["table5"]}}).report("mine")["tables"] == ["table5"]
    with pytest.raises(ConfigError, match=r"report\.tables names 'gone'"):
        mine({"report": {"tables": ["gone"]}}).report("mine")
    with pytest.raises(ConfigError, match=r"report\.systems names 'gone'"):
        mine({"report": {"systems": ["gone"]}}).report("mine")


def test_cases_need_their_three_systems():
    values, left_out = mine(TWO).paper("mine")
    assert values["cases"] is False and "ita-all not among the systems" in left_out["cases"]
    three = {"table": {"systems": ["crf", "ita-all", "ita-all-cva"], "encoders": ["minilm"]}}
    assert mine(three).paper("mine")[0]["cases"] is True
    assert mine({**TWO, "cases": {"image_text": "ita-all-cva"}}).paper("mine")[0]["cases"] is True
    assert mine({**TWO, "paper": {"cases": True}}).paper("mine")[0]["cases"] is True
    assert mine(three).cases("mine")["encoder"] == "minilm"
    assert mine({**three, "cases": {"encoder": "xlmr"}}).cases("mine")["encoder"] == "xlmr"
    assert mine({}).cases("mine")["encoder"] == "bert"


def test_a_control_is_read_for_the_row_that_it_controls():
    def controls(*systems):
        display = mine({"table": {"systems": list(systems)}}).of("mine", "table", "table1")
        return display.control_systems, display.matched_rows, "ita-random" in display.runs

    assert controls("crf", "ita-all") == ({"ita-all": "ita-random"}, ["ita-all"], True)
    assert controls("crf", "ita-all-cva") == ({}, [], False), "no row is like it in all but the posts"
    both = {"ita-all": "ita-random", "ita-all-cva": "ita-random"}
    assert controls("crf", "ita-all", "ita-all-cva") == (both, ["ita-all"], True), "beside the others, too"


def test_of_two_controls_a_row_is_beside_that_of_its_own_context():
    """Whether or not it is like the control in all but the posts; rows of a third context are beside the first."""
    displays = mine(
        {
            "contexts": {"tags-random": {"kinds": ["la"], "shuffle_seed": 1}},
            "systems": {
                "tags-random": {"context": "tags-random", "views": ["it"]},
                "tags-cva": {"context": "la", "views": ["t", "it"], "alignment": "posterior"},
            },
            "table": {
                "systems": ["crf", "ita-all", "ita-all-cva", "ita-la", "tags-cva", "ita-ga"],
                "control_systems": ["ita-random", "tags-random"],
            },
        }
    )
    display = displays.of("mine", "table", "table1")
    of_all, of_tags = dict.fromkeys(["ita-all", "ita-all-cva", "ita-ga"], "ita-random"), ["ita-la", "tags-cva"]
    assert display.control_systems == {**of_all, **dict.fromkeys(of_tags, "tags-random")}
    assert sorted(display.matched_rows) == ["ita-all", "ita-la"]


def test_a_control_of_another_context_controls_nothing():
    displays = mine({"table": {"systems": ["ita-all"]}}, contexts={"random": {"kinds": ["la"]}})
    assert displays.of("mine", "table", "table1").control_systems == {}


def test_a_baseline_is_read_without_being_a_row():
    display = mine({"table": {"systems": ["ita-la"]}}).of("mine", "table", "table1")
    assert display.settings["systems"] == ["ita-la"] and list(display.runs) == ["ita-la", "crf"]
    assert list(mine({"table": {"systems": ["ita-la"], "baseline": None}}).of("mine", "table", "table1").runs) == [
        "ita-la"
    ]


def test_captions_that_a_system_reads():
    displays = mine({})
    assert [displays.captions("mine", name) for name in ("crf", "ita-ga3", "ita-all", "ita-la")] == [0, 3, 5, 0]


def test_the_control_of_as_many_updates_is_read_for_rows_of_two_views():
    def runs(*systems, name="table1", **table):
        display = mine({"table": {"systems": list(systems), **table}}).of("mine", "table", name)
        return list(display.runs)

    assert runs("crf", "ita-ga-cva") == ["crf", "ita-ga-cva", "crf-updates"]
    assert runs("crf", "ita-ga") == ["crf", "ita-ga"], "one view"
    assert runs("crf", "ita-ga-cva", updates_control=None) == ["crf", "ita-ga-cva"]
    assert runs("crf-updates", "ita-ga-cva") == ["crf-updates", "ita-ga-cva", "crf"], "a row itself"
    assert runs("crf", "ita-all-cva", name="table2") == ["crf", "ita-all-cva", "crf-updates"]
    assert runs("crf", "ita-all-cva", name="table5") == ["crf", "ita-all-cva"], "types are not compared with it"
    with pytest.raises(ConfigError, match="table.updates_control names 'nobody', which is not in 'systems'"):
        runs("ita-ga-cva", updates_control="nobody")


@pytest.mark.parametrize("dataset", ["demo", "twitter15", "twitter17", "snap"])
def test_every_row_of_the_paper_is_a_system_that_is_trained(dataset):
    displays = Displays(Sections(Resolver(CONFIG)))
    paper, left_out = displays.paper(dataset)
    assert {f"table{number}" for number in range(1, 7)} <= set(paper["tables"]) and not left_out
    systems = {name: displays.of(dataset, "table", f"table{name}").settings["systems"] for name in (1, 2, 3, 4)}
    assert "crf-updates" in systems[1]
    assert [name for name in systems[2] if name != "umgf-whole"] == ["crf", "umt", "umgf", "rpbert", "ita-all-cva"]
    assert ("umgf-whole" in systems[2]) == (dataset != "demo"), "the control costs the demo as much as all other rows"
    assert systems[3] == ["crf", "crf-x", "umt-words", "umt"]
    reported_rows = {row["system"] for row in reported.rows("table4", dataset)}
    shown = {*systems[4], *displays.of(dataset, "table", "table4").settings["reported"]}
    assert reported_rows <= shown, "no value of the paper is left out"
    assert {"imgfeat", "ita-joint", "rpbert-without-rp", "ita-all-cva", "ita-random"} <= shown
