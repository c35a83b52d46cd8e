"""One definition of every setting: dataclasses, schema file and config.yaml agree."""

from dataclasses import asdict, fields
from pathlib import Path

import jsonschema
import pytest
import yaml

from ita.config import NAMED, STAGES, Detect, schema
from ita.config.fields import default_of, load
from tests.support.paths import ROOT

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


def test_schema_file_is_the_one_rendered():
    found = (ROOT / "workflow/schemas/config.schema.yaml").read_text()
    assert found == schema.render(), "run: python -m ita schema > workflow/schemas/config.schema.yaml"


@pytest.mark.parametrize("stage", STAGES)
def test_config_holds_every_setting_at_its_default(stage):
    expected = asdict(STAGES[stage]())
    if stage == "table":
        expected |= {key: CONFIG["table"][key] for key in ("systems", "encoders")}
    assert CONFIG[stage] == expected
    assert list(CONFIG[stage]) == list(expected), "in the order of the dataclass"


def test_config_has_every_setting_commented():
    uncommented = {"user_agent", "systems", "encoders"}
    lines = (ROOT / "config.yaml").read_text().splitlines()
    for stage in STAGES:
        start = lines.index(f"{stage}:")
        for line in lines[start + 1 : start + 1 + len(CONFIG[stage])]:
            assert "#" in line or line.split(":")[0].strip() in uncommented, line


def test_every_setting_has_a_meaning():
    for section in [*STAGES.values(), *(cls for cls, _ in NAMED.values())]:
        for item in fields(section):
            assert item.metadata["meaning"].endswith("."), (section, item.name)


def test_config_and_examples_fit_the_schema():
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(CONFIG)
    for example in Path(ROOT / "workflow/examples").glob("*.yaml"):
        validator.validate({**CONFIG, **yaml.safe_load(example.read_text())})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("caption", "baems"), 5),
        (("caption", "beams"), 0),
        (("train", "epochs"), "ten"),
        (("datasets", "demo", "train", "epochs"), 0),
        (("datasets", "demo", "tarin"), {}),
        (("datasets", "../evil"), {}),
        (("encoders", "bert", "train", "lr"), 1.0),
        (("systems", "crf", "views"), ["image"]),
        (("external_texts", "sep"), {}),
        (("external_texts", "la"), {}),
        (("seeds",), []),
    ],
)
def test_schema_refuses_wrong_settings(path, value):
    changed = yaml.safe_load((ROOT / "config.yaml").read_text())
    place = changed
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = value
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(changed)


def test_defaults_are_the_papers():
    beams = CONFIG["caption"]
    assert (beams["beams"], beams["max_tokens"], beams["captions"]) == (5, 20, 5)
    context = CONFIG["context"]
    assert (context["attribute_threshold"], context["attributes"], context["tags"]) == (0.1, 3, 100)
    assert CONFIG["train"]["epochs"] == 10
    assert [CONFIG["encoders"][name]["train"]["batch_size"] for name in ("bert", "xlmr")] == [16, 4]
    assert set(CONFIG["losses"]["paper"].values()) == {1.0}


def test_load_names_the_wrong_key():
    with pytest.raises(ValueError, match=r"setting detect: .*'modle' was unexpected"):
        load(Detect, {"modle": "x"})
    with pytest.raises(ValueError, match=r"setting detect.score_threshold: 2 is greater than the maximum"):
        load(Detect, {"score_threshold": 2})
    assert load(Detect, {}) == Detect()


def test_default_factories_are_not_shared():
    one, two = load(Detect, {}), load(Detect, {})
    assert one.files is not two.files
    assert all(default_of(item) == getattr(one, item.name) for item in fields(Detect))
