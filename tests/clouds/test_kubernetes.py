"""workflow/profiles/kubernetes: the jobs that the plugin posts to an API server."""

import json

import pytest

from tests.support.clouds import SNAKEMAKE, TARGETS, Api, need, submit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    """Rule -> the pod specification of its job."""
    need("snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_fs")
    folder, posted = tmp_path_factory.mktemp("kubernetes"), []

    def answer(method, path, body):
        if method == "POST" and path.endswith("/jobs"):
            posted.append(body)
        if path.endswith("/status"):
            return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "status": {"failed": 1}}
        return {"items": []} if method == "GET" else body

    with Api(answer) as api:
        context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
        clusters = [{"name": "test", "cluster": {"server": api.url}}]
        settings = {"clusters": clusters, "users": [{"name": "test", "user": {}}], "contexts": [context]}
        (folder / "kubeconfig").write_text(json.dumps({**settings, "current-context": "test"}))
        output = submit(folder, "kubernetes", SNAKEMAKE, {"KUBECONFIG": str(folder / "kubeconfig")})
    specifications = [body["spec"]["template"]["spec"] for body in posted]
    pods = {
        rule: next((pod for pod in specifications if f"'{rule}:" in pod["containers"][0]["args"][1]), None)
        for rule in TARGETS
    }
    assert all(pods.values()), output[-4000:]
    return pods


@pytest.mark.parametrize(
    ("rule", "gpus", "memory"), [("train", "1", 24000), ("detect", "1", 16000), ("ocr", "0", 8000)]
)
def test_a_pod_asks_for_what_its_rule_says(pods, rule, gpus, memory):
    (container,) = pods[rule]["containers"]
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert requests["memory"] == limits["memory"] == f"{memory}M"
    assert requests["nvidia.com/gpu"] == limits["nvidia.com/gpu"] == gpus, "Kubernetes wants GPUs among the limits"
    assert requests["ephemeral-storage"].endswith("000M")
    assert container["image"] == "ita:cuda"
    assert pods[rule]["restartPolicy"] == "Never"
    assert "securityContext" not in container, "no privileges"


def test_a_pod_fetches_code_and_results_from_the_bucket(pods):
    (command,) = {pod["containers"][0]["args"][1].partition(" && ")[0] for pod in pods.values()}
    assert command.startswith("pip install --target '.snakemake/pip-deployments' snakemake-storage-plugin-")
    assert all("--deploy-sources" in pod["containers"][0]["args"][1] for pod in pods.values())
