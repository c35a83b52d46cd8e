"""Inputs of the jobs, as far as they depend on settings: option of the stage -> files."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ita.config import Knowledge
from ita.config.sections import CONTEXT_SETTINGS, CONTEXT_TABLES, REGION_CAPTIONERS
from ita.errors import ConfigError
from ita.workflow.displays import ROLES, Display, Displays
from ita.workflow.files import local_files, present_files
from ita.workflow.report_sources import ReportSources
from ita.workflow.sections import Sections
from ita.workflow.tagging_models import RUN, TaggingModels

Wildcards = Mapping[str, str]
Inputs = dict[str, list[str]]

READS = {
    "f1": ("metrics", "predictions"),
    "best": ("metrics", "predictions"),
    "labels": ("metrics", "predictions"),
    "types": ("metrics", "predictions"),
    "analysis": ("metrics", "predictions", "posts", "images", "ocr"),
    "ocr": ("posts", "ocr"),
    "curves": ("histories", "run_settings"),
    "captions": ("metrics",),
    "distance": ("metrics",),
}
"""Kind of a table or figure -> what it reads."""
RUN_FILES = {
    "metrics": "metrics.json",
    "predictions": "predictions.parquet",
    "histories": "history.csv",
    "run_settings": "settings.json",
}
"""Option -> file in a run folder."""
FORMS = {"table": ("csv", "md", "tex", "html", "json"), "figure": ("svg", "pdf", "csv", "json")}
"""Suffixes of the files of a table and a figure."""
CASES = ("md", "html", "parquet")
"""Suffixes of the files of the cases."""
KNOWLEDGE_SLOTS = {
    "objects": ("detector", {"objects"}),
    "captions": ("captioner", {"caption", "captions"}),
    "ocr": ("ocr_engine", {"ocr"}),
}
"""Table -> setting that names it, and the slots of a template that are filled from it."""
LONGEST_COMMAND = 120_000
"""Characters of a job's files in its command, of which Linux takes 131,072 with settings and outputs."""


class JobInputs:
    """Inputs of the jobs of all data sets; a method for every stage whose inputs depend on settings."""

    def __init__(self, sections: Sections, displays: Displays) -> None:
        self.sections = sections
        self.resolver = sections.resolver
        self.displays = displays
        self.models = TaggingModels(sections)

    def of(self, stage: str, wildcards: Wildcards) -> Inputs:
        """Inputs of a job.

        Raises:
            ConfigError: for a name that does not exist, a file that is missing, or more files than a command can name.
        """
        inputs: Inputs = getattr(self, stage)(wildcards)
        length = sum(len(path) + 1 for paths in inputs.values() for path in paths)
        if length > LONGEST_COMMAND:
            raise ConfigError(
                f"config: the files that a job of {stage} reads for {wildcards['dataset']} make a command of {length} "
                f"characters, expected at most {LONGEST_COMMAND}: lower gather.shards (or the number of runs)"
            )
        return inputs

    def posts(self, wildcards: Wildcards) -> Inputs:
        """Annotated files that lie on this machine."""
        values = self.sections.values(wildcards["dataset"], "posts")
        features = local_files(filter(None, [values["features"]]), "posts.features")
        return {"files": local_files(filter(None, values["files"].values()), "posts.files") + features}

    def download(self, wildcards: Wildcards) -> Inputs:
        """The folder or archive that images come from."""
        values = self.sections.values(wildcards["dataset"], "download")
        source = values["source"]
        if source not in ("folder", "archive"):
            return {"source": []}
        return {"source": local_files([values[source]], f"download.{source}")}

    def detect(self, wildcards: Wildcards) -> Inputs:
        """Files that somebody else made, and that with the names of classes."""
        dataset, detector = wildcards["dataset"], wildcards["detector"]
        values = self.sections.values(dataset, "detect", detector)
        names = [values["classes"]] if values["backend"] == "zero-shot" and values["classes"] else []
        classes = local_files(names, self.sections.place(dataset, "detect", detector, "classes"))
        return {"files": [*self.precomputed(dataset, "detect", detector), *classes]}

    def ocr(self, wildcards: Wildcards) -> Inputs:
        """None beside the images."""
        return {}

    def caption(self, wildcards: Wildcards) -> Inputs:
        """Files that somebody else made, or the same shard of the regions that are described."""
        dataset, captioner = wildcards["dataset"], wildcards["captioner"]
        inputs: Inputs = {"objects": [], "features": []}
        if self.sections.caption(dataset, captioner).backend in REGION_CAPTIONERS:
            detector = self.sections.named(dataset, "caption", captioner, "detector")
            shard = f"{detector}/{wildcards['shard']}.parquet"
            inputs = {name: [f"results/{dataset}/{name}/{shard}"] for name in inputs}
        return {**inputs, "files": self.precomputed(dataset, "caption", captioner)}

    def precomputed(self, dataset: str, stage: str, entry: str) -> list[str]:
        """Files that the backend ``precomputed`` reads."""
        values = self.sections.values(dataset, stage, entry)
        if values["backend"] != "precomputed":
            return []
        return local_files(values["files"], self.sections.place(dataset, stage, entry, "files"))

    def gather(self, wildcards: Wildcards) -> Inputs:
        """The shards of a table, in order."""
        return {"shards": self.shards(wildcards["dataset"], wildcards["gathered"])}

    def shards(self, dataset: str, table: str) -> list[str]:
        """All shards of what a stage makes, in order.

        Args:
            dataset: name of the data set.
            table: such as objects/vinvl, or entities.

        Not Snakemake's scattergather: that knows one count of shards for all data sets.
        """
        count = self.sections.values(dataset, "gather")["shards"]
        return [f"results/{dataset}/{table}/{number}-of-{count}.parquet" for number in range(1, count + 1)]

    def context(self, wildcards: Wildcards) -> Inputs:
        """The tables that the kinds of a context are made of, and files of external texts."""
        dataset, name = wildcards["dataset"], wildcards["context"]
        inputs: Inputs = {table: [] for table in CONTEXT_TABLES.values()}
        texts: list[str] = []
        knowledge: list[str] = []
        for kind in self.sections.context(dataset, name).kinds:
            if kind in CONTEXT_TABLES:
                entry = self.sections.named(dataset, "context", name, CONTEXT_SETTINGS[kind])
                inputs[CONTEXT_TABLES[kind]] = [f"results/{dataset}/{CONTEXT_TABLES[kind]}/{entry}.parquet"]
            elif self.sections.text_section(dataset, kind) == "external_texts":
                text = self.resolver.entry(dataset, "external_texts", kind)
                texts += local_files(text["files"], f"external_texts.{kind}.files")
            else:
                knowledge.append(f"results/{dataset}/knowledge/{kind}.parquet")
        return {**inputs, "external_texts": texts, "knowledge": knowledge}

    def knowledge(self, wildcards: Wildcards) -> Inputs:
        """What the slots of a source's template are filled from, its files, and the tagger that retrieves."""
        from ita.knowledge.templates import load_template

        dataset, source = wildcards["dataset"], wildcards["knowledge_source"]
        settings = self.sections.knowledge(dataset, source)
        place = partial(self.sections.place, dataset, "knowledge", source)
        template = load_template(settings.template_name)
        slots = template.slots - set(settings.blank)
        folder = f"results/{dataset}"
        inputs: Inputs = {"images": [f"{folder}/images.parquet"] if "image" in slots else []}
        for table, (setting, filled) in KNOWLEDGE_SLOTS.items():
            inputs[table] = []
            if slots & filled:
                entry = self.sections.named(dataset, "knowledge", source, setting)
                inputs[table] = [f"{folder}/{table}/{entry}.parquet"]
        files = [template.path] if template.path else []
        inputs["files"] = local_files(files, place("template"))
        if settings.retrieval != "none":
            inputs["files"] += local_files([settings.demonstrations or ""], place("demonstrations"))
        return {**inputs, **self.retrieval(dataset, settings, place("retrieval_model"))}

    def retrieval(self, dataset: str, settings: Knowledge, place: str) -> Inputs:
        """Files of the tagger that finds similar posts, and the context that it reads of them."""
        inputs: Inputs = {"tagger": [], "context": []}
        if settings.retrieval != "tagger":
            return inputs
        name = settings.retrieval_model or ""
        run = RUN.fullmatch(name)
        if run and run["dataset"] in self.resolver.datasets:
            model = self.models.of_run(run, place)
        else:
            model = self.models.of_folder(name, dataset)
        kinds = self.sections.context(dataset, model.context, place).kinds if model.context else []
        inputs["tagger"] = model.files
        inputs["context"] = [f"results/{dataset}/contexts/{model.context}.parquet"] if kinds else []
        return inputs

    def train(self, wildcards: Wildcards) -> Inputs:
        """What a system reads, what trains its relation gate, and files of encoders that lie in local folders."""
        dataset = wildcards["dataset"]
        self.sections.check_tags(dataset)
        files: dict[str, None] = {}
        for encoder in self.resolver.encoder_names(dataset, wildcards["encoder"], wildcards["system"]):
            model = self.resolver.entry(dataset, "encoders", encoder, "table.encoders")["model"]
            if model.startswith((".", "/")):
                local_files([model], f"encoders.{encoder}.model")
            files |= dict.fromkeys(present_files(f"{model}/{name}" for name in ("config.json", "tokenizer.json")))
        return {**self.evaluate(wildcards), **self.relation_data(dataset, wildcards["system"]), "encoder": list(files)}

    def relation_data(self, dataset: str, system_name: str) -> Inputs:
        """Posts and region features of the data set that trains a system's relation gate."""
        system = self.sections.system(dataset, system_name)
        data = system.relation_data
        if data is None:
            return {"relation_posts": [], "relation_features": []}
        features = self.shards(data, f"features/{system.regions}")
        return {"relation_posts": [f"results/{data}/posts.parquet"], "relation_features": features}

    def evaluate(self, wildcards: Wildcards) -> Inputs:
        """The context table that a system reads, and the features and boxes of regions beside the text."""
        dataset = wildcards["dataset"]
        system = self.sections.system(dataset, wildcards["system"])
        context = [f"results/{dataset}/contexts/{system.context}.parquet"]
        return {"context": context, **self.regions(dataset, system.regions, system.region_boxes)}

    def regions(self, dataset: str, detector: str | None, boxes: bool) -> Inputs:
        """Features of the regions of a detector, and the objects that they show where their boxes are read."""
        return {
            "features": self.shards(dataset, f"features/{detector}") if detector else [],
            "objects": self.shards(dataset, f"objects/{detector}") if detector and boxes else [],
        }

    def tag(self, wildcards: Wildcards) -> Inputs:
        """Files of the model, and what it reads of the images: nothing of them for a model of the text alone."""
        dataset = wildcards["dataset"]
        model = self.models.of(dataset)
        self.models.check_images(dataset, model)
        kinds = self.sections.context(dataset, model.context).kinds if model.context else []
        reads_images = model.regions or any(kind in CONTEXT_TABLES for kind in kinds)
        return {
            "model": model.files,
            "context": [f"results/{dataset}/contexts/{model.context}.parquet"] if kinds else [],
            "images": [f"results/{dataset}/images.parquet"] if reads_images else [],
            **self.regions(dataset, model.regions, model.region_boxes),
        }

    def table(self, wildcards: Wildcards) -> Inputs:
        """Runs that a table shows, and tables of the data set."""
        return self.display(wildcards["dataset"], "table", wildcards["table"])

    def figure(self, wildcards: Wildcards) -> Inputs:
        """Runs that a figure shows."""
        return self.display(wildcards["dataset"], "figure", wildcards["figure"])

    def display(self, dataset: str, stage: str, name: str) -> Inputs:
        """Inputs of a table or figure; all options of its stage, those that it does not read without files."""
        display, folder = self.displays.of(dataset, stage, name), f"results/{dataset}"
        available: Inputs = {
            "posts": [f"{folder}/posts.parquet"],
            "images": [f"{folder}/images.parquet"],
            "ocr": [f"{folder}/ocr/{engine}.parquet" for engine in self.ocr_engines(dataset, display)],
            **{option: self.run_files(dataset, display, file) for option, file in RUN_FILES.items()},
        }
        return {option: files if option in READS[display.kind] else [] for option, files in available.items()}

    def ocr_engines(self, dataset: str, display: Display) -> list[str]:
        """OCR engines whose tables a table reads."""
        if display.kind == "ocr":
            return list(display.settings["ocr_engines"])
        without_images = self.sections.values(dataset, "download")["source"] == "none"
        return [display.settings["ocr_engine"]] if display.kind == "analysis" and not without_images else []

    def run_files(self, dataset: str, display: Display, file: str) -> list[str]:
        """A file of every run that a table or figure reads."""
        runs = sorted({(encoder, system) for encoder in display.encoders for system in display.runs})
        seeds = self.resolver.value(dataset, "seeds")
        folders = (f"results/{dataset}/runs/{encoder}/{system}" for encoder, system in runs)
        return [f"{folder}/seed{seed}/{file}" for folder in folders for seed in seeds]

    def cases(self, wildcards: Wildcards) -> Inputs:
        """Predictions of the runs of its systems, and the context that the one with image text reads."""
        dataset = wildcards["dataset"]
        values = self.displays.cases(dataset)
        systems = {role: self.sections.system(dataset, values[role], f"cases.{role}") for role in ROLES}
        self.resolver.require(dataset, "encoders", values["encoder"], "cases.encoder")
        runs = Display({"encoders": [values["encoder"]]}, tuple(dict.fromkeys(values[role] for role in ROLES)))
        return {
            "predictions": self.run_files(dataset, runs, RUN_FILES["predictions"]),
            "context": [f"results/{dataset}/contexts/{systems['image_text'].context}.parquet"],
        }

    def report(self, wildcards: Wildcards) -> Inputs:
        """Tables and runs that the report shows, contexts of its systems, and the tables that these are made of."""
        dataset = wildcards["dataset"]
        values = self.displays.report(dataset)
        sources = ReportSources(self.sections, dataset, values["systems"])
        runs = Display({"encoders": values["encoders"]}, tuple(values["systems"]))
        shown = [runs, *(self.displays.of(dataset, "table", name) for name in values["tables"])]
        settings = [path for display in shown for path in self.run_files(dataset, display, RUN_FILES["run_settings"])]
        return {
            "tables": [f"results/{dataset}/{name}.json" for name in values["tables"]],
            "numbers": [f"results/{dataset}/{name}.csv" for name in values["tables"]],
            "predictions": self.run_files(dataset, runs, RUN_FILES["predictions"]),
            "run_settings": list(dict.fromkeys(settings)),
            "histories": self.run_files(dataset, runs, RUN_FILES["histories"]),
            "contexts": [f"results/{dataset}/contexts/{name}.parquet" for name in sources.contexts],
            **{
                kind: [f"results/{dataset}/{kind}/{name}.parquet" for name in names]
                for kind, names in sources.tables.items()
            },
            "features": [
                shard for detector in sources.detectors for shard in self.shards(dataset, f"features/{detector}")
            ],
        }

    def paper(self, wildcards: Wildcards) -> Inputs:
        """All forms of the tables and figures of a data set, and the cases."""
        dataset = wildcards["dataset"]
        paper, _ = self.displays.paper(dataset)
        names = {name: FORMS[stage] for stage in FORMS for name in paper[f"{stage}s"]}
        if paper["cases"]:
            names["cases"] = CASES
        return {"files": [f"results/{dataset}/{name}.{form}" for name, forms in names.items() for form in forms]}
