"""Jobs of the pipeline without Snakemake: what each would run with, and which an edit runs again."""

import re
from dataclasses import dataclass
from functools import cache

from ita.workflow.jobs import Jobs
from ita.workflow.versions import VERSIONS
from tests.support.paths import ROOT

SECTIONS = {"detector": "detectors", "captioner": "captioners", "ocr_engine": "ocr_engines", "context": "contexts"}
GATHERED = "(?:objects|captions|ocr|knowledge)/[^/]+|entities"
SECTIONS |= {"knowledge_source": "knowledge_sources"}
SECTIONS |= {"encoder": "encoders", "system": "systems", "table": "tables", "figure": "figures", "dataset": "datasets"}


@dataclass(frozen=True)
class Rule:
    """Patterns of the files of a rule, as they stand in its file."""

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    dynamic: bool


@dataclass(frozen=True)
class PlannedJob:
    """A job: its stage, its settings, and its input files."""

    stage: str
    settings: str
    inputs: frozenset[str]


@cache
def read_rules():
    """Stage -> its rule, read from the text of the rule files."""
    rules = {}
    for stage in VERSIONS:
        text = (ROOT / "rules" / f"{stage}.smk").read_text()
        blocks = {
            name: re.findall(r'"(results/[^"]+)"', body)
            for name, body in re.findall(r"^    (input|output):\n((?:     .*\n)+)", text, re.MULTILINE)
        }
        outputs, inputs = (tuple(blocks.get(name, ())) for name in ("output", "input"))
        rules[stage] = Rule(outputs, inputs, f'jobs.inputs("{stage}")' in text)
    return rules


class Planner:
    """Plans targets with a configuration."""

    def __init__(self, config):
        self.jobs = Jobs(config)
        self.rules = read_rules()
        names = {wildcard: self.jobs.names(section) for wildcard, section in SECTIONS.items()}
        constraints = {**names, "seed": r"\d+", "shard": r"\d+-of-\d+", "gathered": GATHERED}
        self.patterns = {
            stage: [self.compiled(output, constraints) for output in rule.outputs] for stage, rule in self.rules.items()
        }

    @staticmethod
    def compiled(pattern, constraints):
        """A pattern of paths as a regular expression."""
        parts = re.split(r"\{(\w+)\}", pattern)
        text, names = re.escape(parts[0]), set()
        for name, after in zip(parts[1::2], parts[2::2], strict=True):
            text += (f"(?P={name})" if name in names else f"(?P<{name}>{constraints[name]})") + re.escape(after)
            names.add(name)
        return re.compile(text)

    def maker(self, path):
        """Stage and wildcards of the job that makes a file; None where no rule does."""
        for stage, patterns in self.patterns.items():
            for pattern in patterns:
                if match := pattern.fullmatch(path):
                    return stage, tuple(sorted(match.groupdict().items()))
        # What lies in a folder that a rule makes.
        return ("demo", ()) if path.startswith("results/demo/source/") else None

    def plan(self, *targets):
        """Jobs of some targets: (stage, wildcards) -> job."""
        planned, waiting = {}, list(targets)
        while waiting:
            job = self.maker(path := waiting.pop())
            if job is None:
                assert not path.startswith("results/"), f"no rule makes {path}"
                continue
            if job not in planned:
                planned[job] = self.job(*job)
                waiting += planned[job].inputs
        return planned

    def job(self, stage, wildcards):
        """One job."""
        values, rule = dict(wildcards), self.rules[stage]
        inputs = {path.format(**values) for path in rule.inputs}
        if rule.dynamic:
            inputs |= {path for paths in self.jobs.inputs(stage)(values).values() for path in paths}
        fixed = {} if "dataset" in values else {"dataset": "demo"}
        return PlannedJob(stage, self.jobs.settings(stage, **fixed)(values), frozenset(inputs))

    def reruns(self, before, *targets):
        """Stages that run again after an edit: those of jobs with other settings or inputs, and what lies below."""
        after = self.plan(*targets)
        again = {key for key, job in after.items() if before.get(key) != job}
        while True:
            below = {key for key, job in after.items() if any(self.maker(path) in again for path in job.inputs)}
            if below <= again:
                return {stage for stage, _ in again}
            again |= below
