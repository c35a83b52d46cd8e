# Multi-modal NER by image-text alignments. `snakemake --list-rules` explains each stage, config.yaml holds every setting.
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
checkout = Path(str(workflow.current_basedir))
fetched = not checkout.is_dir()  # by Snakemake, file by file, from a repository
code = Path(checkout, "src")  # missing where Snakemake fetched the workflow, or sent it to a cloud: ita is installed
if code.is_dir():
    sys.path.insert(0, str(code))
try:
    from ita.workflow.jobs import one_message
    from ita.workflow.planning import check_version
except ImportError:
    raise SystemExit(
        "\nThis workflow needs its Python package, in its own version, where Snakemake is installed: see config/README.md"
    ) from None
if fetched:
    with one_message():
        check_version(Path(workflow.source_path("src/ita/__init__.py")))


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
