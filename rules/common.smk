# What all rules share: the configuration, checked, and the names that wildcards may take. Its functions are those of
# src/ita/workflow. No rules.
import sys
from pathlib import Path

from snakemake.logging import logger

from ita.config import check
from ita.workflow.jobs import Jobs, one_message
from ita.workflow.planning import check_container, check_profile, growing, has_gpu, job_prefix

jobs = Jobs(config, dict(workflow.config_settings.config), warn=logger.warning)

with one_message():
    check_profile(sys.argv, Path(workflow.basedir))
    check(jobs.resolver.config)
    deployments = [method.name for method in workflow.deployment_settings.deployment_method]
    check_container(deployments, config.get("container"))

shell.prefix(job_prefix(Path(workflow.basedir, "src"), deployed=bool(deployments)))

# So many jobs share the machine's GPU; without one nothing is held back. A profile may set another limit. It is not
# documented API, but profiles that load by themselves have to lie beside the Snakefile.
if has_gpu():
    workflow.global_resources.setdefault("gpu", config["jobs_per_gpu"])


container: config.get("container")


wildcard_constraints:
    dataset=jobs.names("datasets"),
    detector=jobs.names("detectors"),
    captioner=jobs.names("captioners"),
    ocr_engine=jobs.names("ocr_engines"),
    knowledge_source=jobs.names("knowledge_sources"),
    context=jobs.names("contexts"),
    encoder=jobs.names("encoders"),
    system=jobs.names("systems"),
    table=jobs.names("tables"),
    figure=jobs.names("figures"),
    seed=r"\d+",
    shard=r"\d+-of-\d+",
    gathered=r"(objects|captions|ocr|knowledge)/[^/]+|entities",
