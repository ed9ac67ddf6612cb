"""isal is there for its speed only: without it, zlib must read the same bodies and notice the same damage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import pytest
sys.modules["isal"] = None  # importing it is an ImportError
import zlib
from mixpanel_async.decode import gunzip
assert gunzip.gzip_library is zlib
sys.exit(pytest.main(sys.argv[1:]))
"""


def test_zlib_reads_what_isal_reads_and_notices_the_same_damage():
    tests = str(Path(__file__).with_name("test_event_batches.py"))
    command = [sys.executable, "-c", PROGRAM, "-q", "-n0", "-p", "no:cacheprovider", tests]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout
