"""``ita config``: settings of a job and the line that each comes from."""

import re

import pytest
import yaml

from ita.commands.config import main, parse_command_line
from ita.config import ConfigError, Resolver, read_yaml
from ita.config.sections import ENTRIES, PRICES, STAGES
from ita.workflow.jobs import Jobs
from ita.workflow.versions import ADDED_SETTINGS
from tests.support.paths import ROOT

LINES = (ROOT / "config.yaml").read_text().splitlines()


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs the command where config.yaml is; gives exit code, output and errors."""
    monkeypatch.chdir(ROOT)

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def test_every_value_has_the_line_it_comes_from(run):
    code, output, _ = run("demo", "context", "ga1")
    assert code == 0
    comments = dict(re.findall(r"^  (\w+): .*?  # (.*)$", output, re.MULTILINE))
    places = {key: comment.split(" ")[1] for key, comment in comments.items()}
    assert places["kinds"] == places["captions"] == "contexts.ga1"
    assert places["captioner"] == "datasets.demo.contexts.ga1"
    assert places["detector"] == "datasets.demo.context"
    assert places["tags"] == "context"
    for key, comment in comments.items():
        line = re.match(r"config\.yaml:(\d+) ", comment)
        assert key in LINES[int(line[1]) - 1], (key, comment)
    assert yaml.safe_load(output) == {"context": Resolver(read_yaml("config.yaml")).stage("demo", "context", "ga1")}


@pytest.mark.parametrize("stage", STAGES)
def test_the_output_is_what_a_job_gets(run, stage):
    jobs = Jobs(read_yaml("config.yaml"))
    name, wildcards = (), {"dataset": "twitter17"}
    if stage == "train":
        name, wildcards = ("xlmr/ita-all-cva",), {**wildcards, "encoder": "xlmr", "system": "ita-all-cva", "seed": "1"}
    elif stage in ENTRIES:
        name = (jobs.resolver.names(ENTRIES[stage], "twitter17")[-1],)
        wildcards[ENTRIES[stage].removesuffix("s")] = name[0]
    code, output, errors = run("twitter17", stage, *name)
    settings = jobs.settings_of(stage, wildcards)
    sections = ("train", "encoder", "system", "loss") if stage == "train" else (stage,)
    assert (code, errors) == (0, "")
    expected = {section: settings[section] for section in sections}
    if stage == "knowledge":  # prices change no text, so no job has them
        expected[stage] = {**expected[stage], **dict.fromkeys(PRICES, 0.0)}
    for name in ADDED_SETTINGS.get(stage, ()):  # jobs have them where they say something
        expected[stage] = {**expected[stage], name: read_yaml("config.yaml")[stage][name]}
    assert yaml.safe_load(output) == expected
    values = [line for line in output.splitlines() if not re.fullmatch(r" *\w+:", line) and not line.startswith("# ")]
    assert all(re.search(r"  # (config\.yaml:\d+ [\w.-]+|default)$", line) for line in values)


def test_a_restricted_table_names_what_restricts_it(run, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("datasets:\n  twitter17:\n    table:\n      systems: [crf, ita-ga]\n      encoders: [xlmr]\n")
    _, output, _ = run("twitter17", "table", "table2", "--configfile", mine)
    assert re.search(rf"^  systems: \[crf\] +# {mine}:4 datasets\.twitter17\.table$", output, re.MULTILINE)
    assert re.search(rf"^  encoders: \[xlmr\] +# {mine}:5 datasets\.twitter17\.table$", output, re.MULTILINE)
    _, output, _ = run("twitter17", "cases", "--configfile", mine)
    assert re.search(rf"^  encoder: xlmr +# {mine}:5 datasets\.twitter17\.table$", output, re.MULTILINE)
    _, output, _ = run("twitter17", "paper", "--configfile", mine)
    assert re.search(rf"^  cases: false +# {mine}:4 datasets\.twitter17\.table$", output, re.MULTILINE)
    mine.write_text(mine.read_text().replace("ita-ga]", "ita-all]"))
    code, output, errors = run("twitter17", "figure", "figure2", "--configfile", mine)
    assert (code, output) == (1, "") and "its systems all read the same number of captions" in errors


def test_without_a_name_the_entries_are_listed(run):
    _, output, _ = run("twitter17", "caption")
    assert output.endswith("vinvl9, vinvl10\n") and "# entries: vinvl, blip" in output


def test_files_and_command_line_win_in_their_order(run, tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("train: {epochs: 3, warmup: 0.2}\n")
    second.write_text("\ntrain:\n  epochs: 4\nsystems:\n  crf:\n    train: {word_dropout: 0.3}\n")
    files = ("--configfile", first, second)
    _, output, _ = run("twitter17", "train", "bert/crf", *files, "--config", "train={loss: official, epsilon: 1e-7}")
    assert re.search(rf"^  epochs: 4 +# {second}:3 train$", output, re.MULTILINE)
    assert re.search(rf"^  warmup: 0\.2 +# {first}:1 train$", output, re.MULTILINE)
    assert re.search(rf"^  word_dropout: 0\.3 +# {second}:6 systems\.crf\.train$", output, re.MULTILINE)
    assert re.search(r"^  loss: official +# --config train$", output, re.MULTILINE)
    assert re.search(r"^  epsilon: 1\.0e-07 +# --config train$", output, re.MULTILINE)
    assert re.search(r"^  learning_rate: 5\.0e-05 +# config\.yaml:\d+ encoders\.bert\.defaults$", output, re.MULTILINE)
    assert re.search(r"^  temperature: 2\.0 +# config\.yaml:\d+ datasets\.twitter17\.losses\.official$", output, re.M)


def test_a_folder_of_its_own_stands_over_the_workflow(run, tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text("datasets:\n  mine:\n    context: {tags: 3}\n")
    monkeypatch.chdir(tmp_path)
    code, output, _ = run("mine", "context", "ga1")
    assert code == 0
    assert re.search(r"^  tags: 3 +# config/config\.yaml:3 datasets\.mine\.context$", output, re.MULTILINE)
    assert re.search(rf"^  captions: 1 +# {ROOT}/config\.yaml:\d+ contexts\.ga1$", output, re.MULTILINE)


def test_an_installed_package_says_where_its_settings_are_not(run, tmp_path, monkeypatch):
    monkeypatch.setattr("ita.__file__", str(tmp_path / "lib/site-packages/ita/__init__.py"))
    monkeypatch.chdir(tmp_path)
    code, output, errors = run("mine")
    assert (code, output) == (1, "") and "found no config.yaml or config/config.yaml here" in errors


def test_a_built_in_default_is_called_so(run, tmp_path):
    (tmp_path / "mine.yaml").write_text("encoders: {mine: {model: ./mine}}\n")
    _, output, _ = run("demo", "train", "mine/crf", "--configfile", tmp_path / "mine.yaml")
    assert re.search(r"^  learning_rate: 5\.0e-05 +# default$", output, re.MULTILINE)
    assert re.search(r"^  threads: 1 +# default$", output, re.MULTILINE)


def test_values_without_effect_are_listed(run):
    _, output, _ = run("twitter17", "caption", "vinvl1", "--config", "datasets={twitter17: {caption: {beams: 4}}}")
    assert "beams: 4 " in output, "the command line wins over all"
    _, output, _ = run("demo", "context", "ga4")
    assert "# datasets.demo.context.captions: 3 does not reach context ga4, whose own value 4 wins" in output


def test_without_a_stage_it_lists_what_there_is(run):
    _, output, _ = run("twitter17")
    for stage in STAGES:
        assert re.search(rf"^{stage}(:|$)", output, re.MULTILINE)
    assert "caption: vinvl, blip, updown" in output and "encoders: bert, xlmr, minilm, vinvl\n" in output
    assert "seeds: [1, 2, 3, 4, 5]" in output
    _, output, _ = run("demo")
    assert "say nothing about tweets" in output and "encoders: bert, xlmr, minilm, vinvl, demo, demo-cased" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dmo"], "no data set 'dmo' in 'datasets'; did you mean 'demo'?"),
        (["demo", "capton"], "no stage 'capton'; did you mean 'caption'?"),
        (["demo", "caption", "vinlv"], "'vinlv' of demo is not in 'captioners'; did you mean 'vinvl'?"),
        (["demo", "train", "bert"], "a training job needs ENCODER/SYSTEM, such as bert/crf; found 'bert'"),
        (["demo", "train"], "a training job needs ENCODER/SYSTEM"),
        (["demo", "train", "demo/cfr"], "names 'cfr', which is not in 'systems'; did you mean 'crf'?"),
        (["demo", "posts", "x"], "'posts' has no entries; found 'x'"),
        (["demo", "systems"], "'systems' needs a name: crf, "),
        (["demo", "posts", "--configfile", "nope.yaml"], "nope.yaml: the configuration cannot be read"),
        (["demo", "posts", "--config", "epochs"], "--config: found 'epochs', expected KEY=VALUE"),
        (["demo", "posts", "--config", "train={epochs: 3"], "--config train: the value is not YAML"),
        (["demo", "posts", "--config", "train={epohcs: 3}"], "train.epohcs: no such setting; did you mean 'epochs'?"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(run, arguments, message):
    code, output, errors = run(*arguments)
    assert code == 1 and output == "" and message in errors and errors.count("\n") == 1


def test_the_command_line_is_read_as_snakemake_reads_it():
    snakemake = pytest.importorskip("snakemake.cli")
    from ita.config.levels import typed

    entries = ["seeds=[1, 2]", "train={epochs: 3, loss: paper}", "jobs_per_gpu=2", "table={systems: [crf]}"]
    assert typed(parse_command_line(entries)) == typed(snakemake.parse_config(entries))
    with pytest.raises(ConfigError):
        parse_command_line(["=3"])
