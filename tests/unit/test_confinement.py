"""The parser's process: what it may read, and that it may do nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import socket, sys
from agents.common.confinement import confine
inside, outside, port = sys.argv[1:]
version = confine([inside])
def attempt(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"
print(version)
print(attempt(lambda: open(f"{inside}/a.txt").read()))
print(attempt(lambda: open(outside).read()))
print(attempt(lambda: open("/etc/passwd").read()))
print(attempt(lambda: open(f"{inside}/new.txt", "w")))
print(attempt(lambda: socket.create_connection(("127.0.0.1", int(port)), 2)))
import docx, openpyxl, pptx, pypdf, bs4  # what was not loaded before
print(attempt(lambda: open(outside, "a")))
"""


def test_a_confined_process_reads_its_folder_and_does_nothing_else(tmp_path):
    """Other files, writing and the network are refused by the kernel; libraries still load."""
    import socket

    inside = tmp_path / "storage"
    inside.mkdir()
    (inside / "a.txt").write_text("text")
    (tmp_path / "secret.txt").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        ran = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(inside), str(tmp_path / "secret.txt"), port],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
    version, *said = ran.stdout.split()
    if version == "0":
        pytest.skip("this kernel has no Landlock")
    assert said[0] == "done"
    assert said[1:4] == ["PermissionError"] * 3
    assert said[4] in ("PermissionError", "OSError", "ConnectionRefusedError")
    assert said[5] == "PermissionError"
