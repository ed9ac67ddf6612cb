"""A local S3 server, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from contextlib import contextmanager

BUCKET = "events"


@contextmanager
def s3_server():
    """Run it with an empty bucket; yield the environment that names it."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.distributed.moto_server"], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            urllib.request.urlopen(urllib.request.Request(f"{url}/{BUCKET}", method="PUT")).close()
            yield {
                "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "aws-s3cret",
            }  # fmt: skip
        finally:
            server.terminate()
