# Functions only: what tables, figures, cases and the folder paper show and read. No rules.
# What a table or figure of a kind reads: files of its runs, and tables of the dataset.
READS = {
    "f1": ("metrics", "predictions"),
    "best": ("metrics",),
    "types": ("metrics", "predictions"),
    "analysis": ("metrics", "predictions", "posts", "images", "ocr"),
    "ocr": ("posts", "ocr"),
    "curves": ("histories", "run_settings"),
    "captions": ("metrics",),
    "distance": ("metrics",),
}
RUN_FILES = {
    "metrics": "metrics.json",
    "predictions": "predictions.parquet",
    "histories": "history.csv",
    "run_settings": "settings.json",
}
FORMS = {"table": ("csv", "md", "tex", "html", "json"), "figure": ("svg", "pdf", "csv", "json")}


def rows_of(chosen, stage, name):
    """Settings of a table or figure, and the systems whose runs it reads: its rows and what they are compared with."""
    values = merged(chosen[stage], entry(chosen, f"{stage}s", name, f"paper.{stage}s"))
    if stage == "figure":
        values = {**values, **{key: values[key] or chosen["table"][key] for key in ("systems", "encoders")}}
    if values["kind"] == "ocr":
        return {key: values[key] for key in ("kind", "ocr_engines", "digits")}, []
    controls, alike = controls_of(chosen, values) if values["kind"] == "f1" else ({}, [])
    baseline = [values["baseline"]] if values["kind"] in ("f1", "types") and values["baseline"] else []
    return {**values, "controls": controls, "alike": alike}, list(
        dict.fromkeys([*values["systems"], *baseline, *controls.values()])
    )


def controls_of(chosen, values):
    """Controls of the rows, and the rows that differ from theirs only in reading their own context.

    Where a row has such a control, it is also set beside the other rows with contexts; otherwise none is trained.
    """

    def kind_of(name):
        system = entry(chosen, "systems", name, "table.systems")
        context = merged(chosen["context"], entry(chosen, "contexts", system.get("context", "none"), "systems"))
        loss = (sorted(system.get("views", ["t"])), system.get("alignment", "none"), system.get("regions"))
        return {**context, "shuffle_seed": None}, loss, context["shuffle_seed"] is None

    alike, others = {}, []
    for row in values["systems"]:
        context, loss, own = kind_of(row)
        mine = [name for name in values["control_systems"] if kind_of(name) == (context, loss, False)]
        if own and mine:
            alike[row] = mine[-1]
        elif own and context["kinds"]:
            others.append(row)
    first = next(iter(alike.values()), None)
    return {**alike, **({row: first for row in others} if first else {})}, list(alike)


def display_settings(chosen, stage, wildcards):
    """Settings of a table or figure: its own, names of systems and encoders, and what it says about its rows."""
    values, systems = rows_of(chosen, stage, getattr(wildcards, stage))
    more = {name: values.pop(name, empty) for name, empty in (("controls", {}), ("alike", []))}
    entries = {name: entry(chosen, "systems", name, f"{stage}.systems") for name in systems}
    encoders = {name: entry(chosen, "encoders", name, f"{stage}.encoders") for name in values.get("encoders", [])}
    if values["kind"] == "captions":
        more = {"captions": {name: captions_of(chosen, system) for name, system in entries.items()}}
    return {
        stage: values,
        "dataset": wildcards.dataset,
        "systems": entries,
        "encoders": {name: value.get("name") or name for name, value in encoders.items()},
        **more,
    }


def captions_of(chosen, system):
    """Captions that a system reads of an image."""
    context = merged(chosen["context"], entry(chosen, "contexts", system.get("context", "none"), "systems"))
    return context["captions"] if "ga" in context["kinds"] else 0


def read_by(stage):
    """Input function: what a table or figure reads."""

    def of(wildcards):
        chosen = config_of(wildcards.dataset)
        display_settings(
            chosen, stage, wildcards
        )  # a name that does not exist is better told here than by a missing file
        values, systems = rows_of(chosen, stage, getattr(wildcards, stage))
        folder = f"results/{wildcards.dataset}"
        runs = {(encoder, system) for encoder in values.get("encoders", []) for system in systems}
        if values["kind"] == "ocr":
            ocr_engines = values["ocr_engines"]
        else:
            ocr_engines = [values["ocr_engine"]] if values["kind"] == "analysis" else []
        if chosen["download"]["source"] == "none" and values["kind"] == "analysis":
            ocr_engines = []
        files = {"posts": [f"{folder}/posts.parquet"], "images": [f"{folder}/images.parquet"]}
        files["ocr"] = [f"{folder}/ocr/{ocr_engine}.parquet" for ocr_engine in ocr_engines]
        for name, file in RUN_FILES.items():
            files[name] = [
                f"{folder}/runs/{encoder}/{system}/seed{seed}/{file}"
                for encoder, system in sorted(runs)
                for seed in chosen["seeds"]
            ]
        return {name: files[name] for name in READS[values["kind"]] if files[name]}

    return of


def options_of(stage):
    """Those inputs as options of the program."""

    def of(wildcards):
        return " ".join(
            f"--{name.replace('_', '-')} {' '.join(map(shlex.quote, paths))}"
            for name, paths in read_by(stage)(wildcards).items()
        )

    return of


def paper_files(wildcards):
    """Inputs of paper: all forms of its tables and figures, and the cases."""
    chosen = config_of(wildcards.dataset)
    for stage in FORMS:
        for name in chosen["paper"][f"{stage}s"]:
            entry(chosen, f"{stage}s", name, f"paper.{stage}s")
    names = [
        f"{name}.{form}" for stage, forms in FORMS.items() for name in chosen["paper"][f"{stage}s"] for form in forms
    ]
    cases = ["cases.md", "cases.html", "cases.parquet"] if chosen["paper"]["cases"] else []
    return [f"results/{wildcards.dataset}/{name}" for name in names + cases]


def case_systems(chosen):
    """The systems that cases are looked for in: role -> name in 'systems'."""
    return {role: chosen["cases"][role] for role in ("text_only", "image_text", "aligned")}


def case_names(chosen):
    """Their names in tables."""
    encoder = entry(chosen, "encoders", chosen["cases"]["encoder"], "cases.encoder").get("name", "encoder")
    return {
        role: entry(chosen, "systems", name, f"cases.{role}").get("name", name).replace("{encoder}", encoder)
        for role, name in case_systems(chosen).items()
    }


def case_runs(wildcards):
    """Inputs of cases: predictions of the runs of its systems."""
    chosen = config_of(wildcards.dataset)
    case_names(chosen)  # as in read_by
    return expand(
        "results/{dataset}/runs/{encoder}/{system}/seed{seed}/predictions.parquet",
        dataset=wildcards.dataset,
        encoder=chosen["cases"]["encoder"],
        system=case_systems(chosen).values(),
        seed=chosen["seeds"],
    )


def case_context(wildcards):
    """Input of cases: the context table that its I+T system reads."""
    chosen = config_of(wildcards.dataset)
    system = entry(chosen, "systems", chosen["cases"]["image_text"], "cases.image_text")
    return f"results/{wildcards.dataset}/contexts/{system.get('context', 'none')}.parquet"
