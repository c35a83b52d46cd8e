# What all rules share: the configuration, checked, and the names that wildcards may take. Its functions are
# those of src/ita/workflow. No rules.
import sys

from snakemake.logging import logger

from ita.config import check
from ita.workflow import planning
from ita.workflow.jobs import Jobs
from ita.workflow.planning import growing
from ita.workflow.storage import copies_folder, copies_prefix

with one_message():
    planning.check_profile(sys.argv, Path(workflow.basedir), checkout)
    defaults = Path(workflow.source_path("../config.yaml") if fetched else Path(checkout, "config.yaml"))
    settings_files = planning.config_files(defaults)

for settings_file in settings_files:

    configfile: settings_file


# A workflow that uses this one as a module passes its configuration, and leaves out what stays at its default.
if workflow.modifier.skip_configfile:
    config = planning.with_defaults(config, defaults)

# `--config` of a workflow that uses this one has keys that are none of ours.
command_line = {key: value for key, value in workflow.config_settings.config.items() if key in config}
jobs = Jobs(config, command_line, logger.warning, local if (copies := copies_folder(workflow)) else None)

with one_message():
    check(jobs.resolver.config)
    deployments = [method.name for method in workflow.deployment_settings.deployment_method]
    planning.check_container(deployments, config.get("container"))

shell.prefix(copies_prefix(copies) + planning.job_prefix(code if code.is_dir() else None, deployed=bool(deployments)))

# So many jobs share the machine's GPU; without one nothing is held back. A profile may set another limit.
if planning.has_gpu():
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
