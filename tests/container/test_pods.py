"""The demo through workflow/profiles/kubernetes: results in a bucket, pods of the image that share no disk.

The API server is a stand-in that starts what a pod's container says, by buildah; the bucket is moto's.
"""

import json
import os
import subprocess
import threading

import pytest

from tests.support.clouds import SNAKEMAKE, Api, need
from tests.support.pipeline import Pipeline, small

pytestmark = pytest.mark.container


class Cluster:
    """Jobs of a cluster whose pods run in the image, one at a time.

    Args:
        builder: runs containers.
        image: name of the image.
        folder: takes the pods' working folders.
    """

    def __init__(self, builder, image, folder):
        self.builder, self.image, self.folder = builder, image, folder
        self.states, self.environment, self.turn = {}, {}, threading.Lock()

    def answer(self, method, path, body):
        """Answers the requests of the plugin."""
        name = body.get("metadata", {}).get("name") if body else path.split("/")[-2]
        if method == "POST" and path.endswith("/secrets"):
            self.environment |= {key.upper(): value for key, value in body["data"].items()}
        if method == "POST" and path.endswith("/jobs"):
            self.states[name] = {"active": 1}
            pod = body["spec"]["template"]["spec"]
            threading.Thread(target=self.run, args=(name, pod["containers"][0]), daemon=True).start()
        if path.endswith("/status"):
            return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "status": self.states[name]}
        return {"items": []} if method == "GET" else body

    def run(self, name, container):
        """Runs a pod to its end, as the user of the image, in an empty folder."""
        workdir = self.folder / name
        workdir.mkdir()
        workdir.chmod(0o777)
        volumes = ["-v", f"{workdir}:{container['workingDir']}"]
        variables = [f"--env={row['name']}={self.secret(row)}" for row in container["env"]]
        with self.turn, self.builder.container(self.image) as pod:
            command = ["buildah", "run", "--isolation", "chroot", *volumes, *self.builder.places, *variables]
            command += ["--workingdir", container["workingDir"], pod, *container["command"], *container["args"]]
            with (self.folder / f"{name}.log").open("w") as log:
                code = subprocess.run(command, env=self.builder.environment, stdout=log, stderr=log).returncode
        self.states[name] = {"failed": 1} if code else {"succeeded": 1}

    def secret(self, variable):
        import base64

        key = variable["valueFrom"]["secretKeyRef"]["key"].upper()
        return base64.b64decode(self.environment[key]).decode()


def test_the_demo_runs_in_pods_that_share_no_disk(builder, image, tmp_path):
    need("snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_s3", "moto")
    from tests.support.s3 import BUCKET, s3_server

    folder = tmp_path / "workflow"
    folder.mkdir()
    pipeline = Pipeline(folder)
    pipeline.write(small(pipeline.config))
    cluster = Cluster(builder, image, tmp_path / "pods")
    cluster.folder.mkdir()
    with s3_server() as s3, Api(cluster.answer) as api:
        settings = {
            "clusters": [{"name": "test", "cluster": {"server": api.url}}],
            "users": [{"name": "test", "user": {}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(settings))
        done = subprocess.run(
            [
                *SNAKEMAKE,
                "results/demo/table1.csv",
                "--workflow-profile",
                "workflow/profiles/kubernetes",
                "--default-storage-prefix",
                f"s3://{BUCKET}/ita",
                "--retries",
                "0",
                "--seconds-between-status-checks",
                "1",
            ],  # fmt: skip
            cwd=folder,
            env={**os.environ, **s3.environment, "KUBECONFIG": str(tmp_path / "kubeconfig")},
            capture_output=True,
            text=True,
        )
        logs = "\n".join(path.read_text()[-3000:] for path in cluster.folder.glob("*.log"))
        assert done.returncode == 0, done.stderr[-3000:] + logs[-6000:]
        rows = s3.content("ita/results/demo/table1.csv").decode().splitlines()
    assert len(rows) >= 3 and len(cluster.states) > 10
