"""The README's client example, as it stands there, against a server."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_client_example_runs(serve):
    server = serve()
    _, example = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert "http://127.0.0.1:8000" in example
    ran = subprocess.run(
        [sys.executable, "-c", example.replace("http://127.0.0.1:8000", server.url)],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
    )
    assert ran.stdout.splitlines() == ["1 lease 1", "2 ack 1", "3 nack 1"]
