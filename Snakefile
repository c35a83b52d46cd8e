# Multi-modal NER by image-text alignments. `snakemake --list-rules` explains each stage, config.yaml holds every setting.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, str(Path(workflow.basedir, "src")))

from ita.config import read_yaml
from ita.workflow.jobs import one_message

with one_message():
    read_yaml("config.yaml")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"
include: "rules/demo.smk"
include: "rules/posts.smk"
include: "rules/download.smk"
include: "rules/detect.smk"
include: "rules/caption.smk"
include: "rules/ocr.smk"
include: "rules/gather.smk"
include: "rules/knowledge.smk"
include: "rules/context.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/tag.smk"
include: "rules/table.smk"
include: "rules/figure.smk"
include: "rules/cases.smk"
include: "rules/paper.smk"
include: "rules/report.smk"


rule all:
    """Table and learning curves of the demo. Name a file of another dataset to make that one."""
    default_target: True
    input:
        "results/demo/table1.csv",
        "results/demo/curves.svg",
