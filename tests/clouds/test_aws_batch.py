"""workflow/profiles/aws-batch: the job definitions that the plugin registers."""

import pytest

from tests.support.clouds import SNAKEMAKE, TARGETS, Api, need, submit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    """Rule -> its job definition, and the output of Snakemake."""
    need("snakemake_executor_plugin_aws_batch", "snakemake_storage_plugin_fs")
    definitions = {}

    def answer(method, path, body):
        if path.endswith("/registerjobdefinition"):
            definitions[body["jobDefinitionName"].split("-")[2]] = body
            return {"jobDefinitionName": body["jobDefinitionName"], "jobDefinitionArn": "arn", "revision": 1}
        if path.endswith("/submitjob"):
            return {"jobName": body["jobName"], "jobId": body["jobName"], "jobArn": "arn"}
        job = {"jobName": "job", "jobId": "job", "jobQueue": "queue", "startedAt": 0, "jobDefinition": "arn"}
        return {"jobs": [{**job, "status": "FAILED", "statusReason": "a test", "container": {"exitCode": 1}}]}

    with Api(answer) as api:
        environment = {"AWS_ENDPOINT_URL_BATCH": api.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        output = submit(tmp_path_factory.mktemp("aws"), "aws-batch", SNAKEMAKE, environment)
    assert definitions.keys() == TARGETS.keys(), output[-4000:]
    assert "is invalid for vCPU" not in output, "a pair of memory and vCPUs that the plugin does not know"
    return definitions


@pytest.mark.parametrize(
    ("rule", "vcpus", "memory", "gpus"),
    [("detect", 4, 16384, 1), ("ocr", 4, 8192, 0), ("train", 4, 24576, 1), ("evaluate", 2, 8192, 1)],
)
def test_a_job_asks_for_what_the_profile_says(definitions, rule, vcpus, memory, gpus):
    properties = definitions[rule]["containerProperties"]
    requirements = {row["type"]: int(row["value"]) for row in properties["resourceRequirements"]}
    assert requirements == {"VCPU": vcpus, "MEMORY": memory} | ({"GPU": gpus} if gpus else {})
    assert properties["image"] == "ita:cuda"
    assert definitions[rule]["timeout"] == {"attemptDurationSeconds": 86400}


@pytest.mark.parametrize("attempt", [1, 2])
def test_every_rule_asks_for_a_pair_that_the_plugin_knows(definitions, attempt):
    from snakemake_executor_plugin_aws_batch.constant import VALID_RESOURCES_MAPPING

    from ita.config.sections import STAGES
    from tests.support.clouds import profile

    settings = profile("aws-batch")
    assert settings["retries"] == 1, "two attempts"
    assert settings["set-resources"].keys() == set(STAGES)
    for rule, resources in settings["set-resources"].items():
        memory = eval(resources["mem_mb"], {"attempt": attempt})
        assert settings["set-threads"].get(rule, 1) in VALID_RESOURCES_MAPPING[memory], (rule, memory)
