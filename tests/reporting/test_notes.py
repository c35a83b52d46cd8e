"""Notes below tables: what trained a relation gate."""

from ita.reporting.tables import f1
from tests.support import made_runs
from tests.support.made_reports import table_inputs, table_settings
from tests.support.made_runs import SYSTEMS, of_system

ROWS = ["crf", "ita-all", "ita-all-cva"]


def relation_notes(metrics):
    table = f1.build(*table_inputs(metrics, table_settings(systems=ROWS, entries=SYSTEMS)))
    return [note for note in table.notes if "gate" in note]


def test_a_row_says_what_trained_its_relation_gate(known_metrics):
    assert relation_notes(known_metrics) == [], "systems without a gate"
    for system, posts in (("ita-all", 0), ("ita-all-cva", 3576)):
        for path in of_system(known_metrics, system):
            made_runs.edit(path, training={"updates": 1, "subwords": 1, "relation_posts": posts})
    alone, taught = relation_notes(known_metrics)
    assert alone.startswith("ITA-All: no relation data, so the relation gate learned from NER alone")
    assert taught == "ITA-All+CVA: the relation gate also learned from 3,576 posts of relation data."
