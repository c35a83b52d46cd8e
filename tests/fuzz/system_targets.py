"""Configurations, and servers that answer."""

import json
import shutil
import socket
import threading

from tests.fuzz import inputs
from tests.fuzz.base import ASIDE, Target, expect
from tests.fuzz.mutations import mutate_json


class Configurations(Target):
    """Configurations: planned, or refused."""

    def __init__(self, folder):
        super().__init__(folder)
        import yaml

        from tests.support.paths import ROOT

        self.config = yaml.safe_load((ROOT / "config.yaml").read_text())
        self.sections = sorted(set(self.config) - {"datasets"})

    def draw(self, random):
        self.whole = random.random() < ASIDE
        if self.whole:
            return b"{}"
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
        from ita.errors import UserError
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
