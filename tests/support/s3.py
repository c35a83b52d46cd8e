"""An S3 server on loopback that counts what it is asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

BUCKET = "ita-results"
KEYS = ("SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "SNAKEMAKE_STORAGE_S3_SECRET_KEY")


class Counting:
    """The server, which counts requests by kind: HEAD, GET, LIST, PUT, POST, DELETE."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application
        self.requests: Counter[str] = Counter()

    def __call__(self, environ: Mapping[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answers a request."""
        listing = environ["REQUEST_METHOD"] == "GET" and "prefix=" in environ.get("QUERY_STRING", "")
        self.requests["LIST" if listing else environ["REQUEST_METHOD"]] += 1
        return self.application(environ, start_response)

    def taken(self) -> Counter[str]:
        """Requests since the last time."""
        requests, self.requests = self.requests, Counter()
        return requests


class S3:
    """Address of a server with an empty bucket, and a client for it."""

    def __init__(self, url: str, counting: Counting) -> None:
        import boto3

        self.url, self.counting = url, counting
        self.environment = {"SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": url, **dict.fromkeys(KEYS, "testtest")}
        self.client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        self.client.create_bucket(Bucket=BUCKET)

    def content(self, key: str) -> bytes:
        """Content of an object."""
        content: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return content

    def names(self, prefix: str = "") -> list[str]:
        """Objects."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@contextmanager
def s3_server() -> Iterator[S3]:
    """A server on a free port."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    counting = Counting(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, counting, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield S3(f"http://127.0.0.1:{server.server_port}", counting)
    finally:
        server.shutdown()
        thread.join()
