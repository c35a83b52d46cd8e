"""Configurations, image servers that answer, clients that ask the service."""

import atexit
import json
import shutil
import socket
import threading
from contextlib import ExitStack

from ita.errors import UserError
from tests.fuzz import inputs
from tests.fuzz.base import ASIDE, Target, expect
from tests.fuzz.mutations import mutate_json
from tests.support import service


class Configurations(Target):
    """Configurations: planned, or refused."""

    def __init__(self, folder):
        super().__init__(folder)
        import yaml

        from tests.support.paths import ROOT

        self.config = yaml.safe_load((ROOT / "config.yaml").read_text())
        self.sections = sorted(set(self.config) - {"datasets"})

    def sample(self, random):
        return b"{}"

    def draw(self, random):
        self.whole = random.random() < ASIDE
        if self.whole:
            return self.sample(random)
        # What a user writes: some of the sections, for all data sets or for one.
        names = random.sample(self.sections, random.randint(1, 3))
        part = {name: self.config[name] for name in names}
        change = mutate_json(part, random)
        if random.random() < 0.4:
            change = {"datasets": {"demo": change}}
        return json.dumps(change).encode("utf-8", "surrogatepass")

    def read(self, data):
        from ita.config import check
        from ita.config.levels import merge
        from tests.support.planner import Planner

        config = merge(self.config, json.loads(data.decode("utf-8", "surrogatepass")))
        check(config)
        try:
            Planner(config).plan("results/demo/table1.csv")
        except SystemExit as error:
            raise UserError(str(error)) from None
        except AssertionError as error:
            raise UserError(f"Snakemake: {error}") from None


class Answers(Target):
    """Answers of image servers."""

    kinds = ("PNG", "JPEG", "redirect", "chunked")

    def __init__(self, folder):
        super().__init__(folder)
        self.answer = b""
        self.server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            connection, _ = self.server.accept()
            with connection:
                try:
                    connection.settimeout(2)
                    connection.recv(65536)
                    connection.sendall(self.answer)
                except OSError:
                    pass

    def draw(self, random):
        data = super().draw(random)
        self.whole = self.whole and self.kind != "redirect"  # it leads nowhere
        return data

    def sample(self, random):
        if self.kind == "redirect":
            places = ["/a", "http://10.0.0.1/", "http://127.0.0.1:1/", "//evil", "file:///etc/passwd", "http://[::1]/"]
            return f"HTTP/1.1 302 Found\r\nLocation: {random.choice(places)}\r\nContent-Length: 0\r\n\r\n".encode()
        image = inputs.picture("PNG" if self.kind == "chunked" else self.kind, random)
        if self.kind == "chunked":
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(image), image)
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\n" + body
        return b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n%s" % (len(image), image)

    def read(self, data):
        from ita.io import parquet
        from ita.stages import download

        self.answer = data
        store, output, table = self.folder / "store", self.folder / "images.parquet", self.folder / "posts.parquet"
        shutil.rmtree(store, ignore_errors=True)
        url = f"http://127.0.0.1:{self.server.getsockname()[1]}/a"
        row = {"post_id": "1", "split": "train", "image_id": "a", "image_url": url, "tokens": ["a"], "tags": ["O"]}
        parquet.write("posts", [row], table)
        options = {"source": "urls", "allow_networks": ["127.0.0.1"], "attempts": 1, "read_timeout": 1.0}
        download.work({"download": {**options, "total_timeout": 3.0}}, output, table, store)
        (row,) = parquet.rows("images", output)
        expect(row["status"] in download.STATUSES, f"status {row['status']}")
        expect(row["status"] != "ok" or (self.folder / row["path"]).is_file(), "an image that is not there")
        expect(row["error"] is None or row["error"].isprintable(), f"an error of several lines: {row['error']!r}")


class Requests(Target):
    """Requests to `ita serve`."""

    kinds = ("tag", "upload", "kserve", "head")

    def __init__(self, folder):
        super().__init__(folder)
        self.stack = ExitStack()
        arguments = ["--header-seconds", "1", "--body-seconds", "1", "--request-seconds", "8", "--threads", "1"]
        self.service = self.stack.enter_context(service.running(inputs.run_folder(folder), folder / "log", *arguments))
        atexit.register(self.stack.close)
        self.name = self.service.tag({"text": "Ann"}).json["model"]

    def sample(self, random):
        post = {"text": "Ann went to Rome", "context": "a man", "image_url": "http://10.0.0.1/a.png"}
        if self.kind == "head":
            return b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        if self.kind == "upload":
            image = inputs.picture("PNG", random)
            field = b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nAnn\r\n'
            file = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'
            body = field + file + b"Content-Type: image/png\r\n\r\n" + image + b"\r\n--b--\r\n"
            return request_bytes("/v1/upload", "multipart/form-data; boundary=b", body)
        path, value = "/v1/tag", {"posts": [post, {"tokens": ["Ann", "ran"]}], "view": "auto", "explain": True}
        if self.kind == "kserve":
            tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["Ann", "Rome"]}
            path, value = f"/v2/models/{self.name}/infer", {"id": "1", "inputs": [tensor]}
        value = value if random.random() < 0.4 else mutate_json(value, random)
        body = json.dumps(value).encode("utf-8", "surrogatepass")
        return request_bytes(path, "application/json", body)

    def read(self, data):
        answer = self.service.raw(data)
        status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None
        expect(status is None or status < 500, f"an error of the server: {answer[:300]!r}")
        expect(b"Traceback" not in answer, "a traceback")
        following = self.service.tag({"text": "Ann"})
        expect(following.status == 200, "the next request has no answer")
        if status is None or status >= 400:
            raise UserError(f"status {status}")


def request_bytes(path, content_type, body):
    """A POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
