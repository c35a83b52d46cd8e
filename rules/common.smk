# Functions only: configuration of a dataset, settings of a job, inputs named in settings. No rules.
import json
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# Defaults stay out: filled into a dataset's section they would override what stands above it.
sys.path.insert(0, str(Path(workflow.basedir) / "src"))
from ita.config import Resolver  # noqa: E402
from ita.workflow.versions import VERSIONS  # noqa: E402

validate(config, schema="../workflow/schemas/config.schema.yaml", set_default=False)

SOURCE = Path(workflow.basedir) / "src" / "ita"
NAMED = {
    "detect": "detectors",
    "caption": "captioners",
    "ocr": "ocr_engines",
    "context": "contexts",
    "table": "tables",
    "figure": "figures",
}
REGION_CAPTIONERS = {"oscar", "updown"}
BUILT_IN_KINDS = {"la", "ga", "oca"}

# Jobs run the checkout's code with the interpreter that runs Snakemake, unless an environment is deployed for them.
deployed = bool(workflow.deployment_settings.deployment_method)
shell.prefix(
    f"export PYTHONPATH={shlex.quote(str(SOURCE.parent))}; "
    + ("" if deployed else f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; ')
)

# Where this machine has a GPU, so many jobs share it; without one nothing is held back. Profiles set their own limit.
gpu_here = any(Path(SOURCE.anchor, "dev").glob("nvidia[0-9]*"))
workflow.global_resources.setdefault("gpu", config["jobs_per_gpu"] if gpu_here else 1_000_000)


def merged(base, over):
    """`base` with the values of `over`, nested mappings merged key by key."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}


@cache
def config_of(dataset):
    """The configuration as one dataset sees it."""
    shared = {key: value for key, value in config.items() if key != "datasets"}
    return merged(shared, config["datasets"][dataset] or {})


def entry(chosen, section, name, where):
    """A named entry of a section."""
    if name not in chosen[section]:
        known = ", ".join(chosen[section]) or "none"
        raise WorkflowError(f"config: {where} names {name!r}, which is not in '{section}' (there are: {known})")
    return chosen[section][name] or {}


def stage_settings(chosen, stage, wildcards):
    """Settings of a stage, overridden by the named entry that the wildcards choose."""
    section = NAMED.get(stage)
    if not section:
        return chosen[stage]
    name = getattr(wildcards, section.removesuffix("s"))
    return merged(chosen[stage], entry(chosen, section, name, f"a {section.removesuffix('s')} of {wildcards.dataset}"))


def train_settings(chosen, wildcards):
    """Settings of a training job: what names things in tables is left out, so that renaming retrains nothing."""
    resolved = resolver().train(wildcards.dataset, wildcards.encoder, wildcards.system)
    run = {"dataset": wildcards.dataset, "encoder": wildcards.encoder, "system": wildcards.system}
    return {**resolved, "seed": int(wildcards.seed), "run": run}


@cache
def resolver():
    """The order of overrides, in one place."""
    return Resolver(config)


def threads_of(stage):
    """CPU threads of a job, a setting of its stage."""

    def of(wildcards):
        chosen = config_of(wildcards.dataset)
        values = train_settings(chosen, wildcards)["train"] if stage == "train" else chosen[stage]
        return values["threads"]

    return of


@cache
def version(stage):
    """Version of a stage: a change of method reruns the stage, a comment does not."""
    return VERSIONS[stage]


def settings(stage):
    """Params of a stage: a function of the wildcards that gives its settings, and nothing else, as canonical JSON."""

    def of(wildcards):
        dataset = getattr(wildcards, "dataset", "demo")
        chosen = config_of(dataset)
        if stage == "train":
            values = train_settings(chosen, wildcards)
        elif stage in FORMS:
            values = display_settings(chosen, stage, wildcards)
        else:
            values = {stage: stage_settings(chosen, stage, wildcards)}
        if stage in NAMED:
            values["name"] = getattr(wildcards, NAMED[stage].removesuffix("s"))
        if stage == "context":
            kinds = [kind for kind in values["context"]["kinds"] if kind not in BUILT_IN_KINDS]
            values["external_texts"] = {kind: entry(chosen, "external_texts", kind, "context.kinds") for kind in kinds}
        if stage == "cases":
            values |= {"dataset": dataset, "names": case_names(chosen)}
        if stage == "paper":
            values["dataset"] = dataset
        return json.dumps({"version": version(stage), **values}, sort_keys=True)

    return of


def present(paths):
    """Local files among paths, URLs and archive members; a file that is not there is left for the stage to explain."""
    local = [path.partition("::")[0] for path in paths if path and not path.startswith(("http://", "https://"))]
    return sorted({path for path in local if path.startswith("results/demo/source/") or Path(path).exists()})


def post_files(wildcards):
    """Annotated files of a dataset that lie on this machine."""
    return present(config_of(wildcards.dataset)["posts"]["files"].values())


def image_source(wildcards):
    """Folder or archive that a dataset's images come from."""
    chosen = config_of(wildcards.dataset)["download"]
    return present([chosen[chosen["source"]]]) if chosen["source"] in ("folder", "archive") else []


def precomputed_files(stage):
    """Input function: files that a `precomputed` back end reads."""

    def of(wildcards):
        chosen = stage_settings(config_of(wildcards.dataset), stage, wildcards)
        return present(chosen["files"]) if chosen["backend"] == "precomputed" else []

    return of


def shards(wildcards):
    """Inputs of gather: the shards of a table, in order."""
    count = config_of(wildcards.dataset)["gather"]["shards"]
    folder = f"results/{wildcards.dataset}/{wildcards.seen}/{wildcards.name}"
    return [f"{folder}/{number}-of-{count}.parquet" for number in range(1, count + 1)]


def regions(wildcards):
    """Inputs of a captioner that sees regions instead of pixels: the same shard of what its detector found."""
    chosen = stage_settings(config_of(wildcards.dataset), "caption", wildcards)
    if chosen["backend"] not in REGION_CAPTIONERS:
        return {}
    entry(config_of(wildcards.dataset), "detectors", chosen["detector"], "caption.detector")
    shard = f"{chosen['detector']}/{wildcards.shard}.parquet"
    return {name: f"results/{wildcards.dataset}/{name}/{shard}" for name in ("objects", "features")}


def regions_options(wildcards):
    """Those inputs as options of the program."""
    return " ".join(f"--{name} {shlex.quote(path)}" for name, path in regions(wildcards).items())


def context_tables(wildcards):
    """Inputs of a context: the tables that its kinds are made of."""
    chosen = stage_settings(config_of(wildcards.dataset), "context", wildcards)
    folder = f"results/{wildcards.dataset}"
    tables = {
        "la": ("objects", f"{folder}/objects/{chosen['detector']}.parquet"),
        "ga": ("captions", f"{folder}/captions/{chosen['captioner']}.parquet"),
        "oca": ("ocr", f"{folder}/ocr/{chosen['ocr_engine']}.parquet"),
    }
    return dict(tables[kind] for kind in chosen["kinds"] if kind in tables)


def context_options(wildcards):
    """Those inputs as options of the program."""
    return " ".join(f"--{name} {shlex.quote(path)}" for name, path in context_tables(wildcards).items())


def context_texts(wildcards):
    """Inputs of a context: files of the text sources that it names."""
    chosen = config_of(wildcards.dataset)
    kinds = stage_settings(chosen, "context", wildcards)["kinds"]
    entries = [entry(chosen, "external_texts", kind, "context.kinds") for kind in kinds if kind not in BUILT_IN_KINDS]
    return present([file for value in entries for file in value.get("files", [])])


def context_of_system(wildcards):
    """The context table that a system reads."""
    system = entry(config_of(wildcards.dataset), "systems", wildcards.system, "table.systems")
    return f"results/{wildcards.dataset}/contexts/{system.get('context', 'none')}.parquet"


def features_of_system(wildcards):
    """Features of regions that a system reads beside the text: the shards of its detector."""
    chosen = config_of(wildcards.dataset)
    detector = entry(chosen, "systems", wildcards.system, "table.systems").get("regions")
    if not detector:
        return []
    entry(chosen, "detectors", detector, f"systems.{wildcards.system}.regions")
    count = chosen["gather"]["shards"]
    folder = f"results/{wildcards.dataset}/features/{detector}"
    return [f"{folder}/{number}-of-{count}.parquet" for number in range(1, count + 1)]


def encoder_files(wildcards):
    """Files of an encoder that lies in a local folder."""
    return files_of_encoder(wildcards.dataset, wildcards.encoder)


@cache
def files_of_encoder(dataset, encoder):
    """Looked up once for all jobs."""
    model = entry(config_of(dataset), "encoders", encoder, "table.encoders").get("model", "")
    return present([f"{model}/{name}" for name in ("config.json", "tokenizer.json")])


def names_of(section):
    """Regular expression of all names in a section, those that only a dataset has included."""
    datasets = [config_of(name) for name in config["datasets"]]
    return "|".join(sorted({re.escape(name) for chosen in datasets for name in chosen[section]})) or "(?!)"


wildcard_constraints:
    dataset="|".join(map(re.escape, config["datasets"])),
    detector=names_of("detectors"),
    captioner=names_of("captioners"),
    ocr_engine=names_of("ocr_engines"),
    context=names_of("contexts"),
    encoder=names_of("encoders"),
    system=names_of("systems"),
    table=names_of("tables"),
    figure=names_of("figures"),
    seed=r"\d+",
    shard=r"\d+-of-\d+",
    seen="objects|captions|ocr",
    name=r"[^/]+",
