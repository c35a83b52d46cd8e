"""A server on loopback that answers huggingface_hub as the hub does: uploads of small files, and downloads of them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.support.web import Server, running


class Hub(BaseHTTPRequestHandler):
    """Repositories in memory.

    Attributes:
        repositories: name -> file -> content.
        requests: method and path of each request.
    """

    protocol_version = "HTTP/1.1"
    repositories: dict[str, dict[str, bytes]] = {}
    requests: list[str] = []

    def log_message(self, *_: object) -> None:
        """Logs nothing."""

    def answer(self, code: int, content: bytes = b"", **headers: str) -> None:
        """Sends a response; ``_`` in the name of a header becomes ``-``."""
        self.send_response(code)
        for name, value in {"Content_Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def json(self, value: object) -> None:
        """Sends JSON."""
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json")

    def body(self) -> bytes:
        """The body of the request."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def commit(self, name: str) -> str:
        """Commit of a repository: a hash of its files."""
        files = sorted((file, hashlib.sha1(content).hexdigest()) for file, content in self.repositories[name].items())
        return hashlib.sha1(repr(files).encode()).hexdigest()

    def do_POST(self) -> None:
        """Creates a repository, or a commit in it."""
        content, host = self.body(), self.headers["Host"]
        self.requests.append(f"POST {self.path}")
        if self.path == "/api/repos/create":
            values = json.loads(content)
            name = "/".join(filter(None, [values.get("organization") or "me", values["name"]]))
            self.repositories.setdefault(name, {})
            return self.json({"url": f"http://{host}/{name}", "name": name})
        if self.path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        name = re.match(r"/api/models/([^/]+/[^/]+)/", self.path)[1]
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(content)["files"]
            ]
            return self.json({"files": files})
        for line in content.splitlines():
            action = json.loads(line)
            if action["key"] == "file":
                self.repositories[name][action["value"]["path"]] = base64.b64decode(action["value"]["content"])
        commit = self.commit(name)
        return self.json({"success": True, "commitOid": commit, "commitUrl": f"http://{host}/{name}/commit/{commit}"})

    def do_GET(self) -> None:
        """A file, or what is in a repository."""
        self.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        listed = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/tree/.+|/revision/.+)?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        name = (listed or file or [None, ""])[1]
        if name not in self.repositories:
            return self.answer(404, X_Error_Code="RepoNotFound")
        files = self.repositories[name]
        if listed and "/tree/" in path:
            return self.json([{"type": "file", "path": file, "size": len(files[file]), "oid": "0"} for file in files])
        if listed:
            siblings = [{"rfilename": file} for file in files]
            return self.json({"id": name, "sha": self.commit(name), "siblings": siblings, "private": False})
        if file[3] not in files:
            return self.answer(404, X_Error_Code="EntryNotFound")
        etag = f'"{hashlib.sha1(files[file[3]]).hexdigest()}"'
        return self.answer(200, files[file[3]], ETag=etag, X_Repo_Commit=self.commit(name))

    do_HEAD = do_GET


@contextmanager
def hub() -> Iterator[str]:
    """Runs an empty hub; its address."""
    Hub.repositories, Hub.requests = {}, []
    with running(Server(("127.0.0.1", 0), Hub)) as address:
        yield f"http://{address}"
