"""The process of a local S3 server; it prints its port. `/requests` returns how many requests it has had.

It does one request after the other: moto checks a condition and writes in two steps, which are one in S3.
"""

from __future__ import annotations

import logging
import sys

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class Counted:
    """An application that counts its requests."""

    def __init__(self, application):
        self.application = application
        self.requests = 0

    def __call__(self, environment, start_response):
        if environment["PATH_INFO"] == "/requests":
            start_response("200 OK", [])
            return [str(self.requests).encode()]
        self.requests += 1
        return self.application(environment, start_response)


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    application = Counted(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=False)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()
