"""The README's crawl, as it stands there, against a server: no page is crawled twice."""

import re
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import environment

ROOT = Path(__file__).parents[2]
LINKS = """
seen = []


def links_of(url):
    seen.append(url)
    if len(seen) == 2:
        client.queue("pages").close()  # so that the crawl ends
        return []
    return ["https://example.org/a", url]
"""


def test_the_crawl_runs(serve):
    server = serve()
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    [crawl] = [example for example in examples if "links_of" in example]
    ran = subprocess.run(
        [sys.executable, "-c", f"{LINKS}\n{crawl}\nprint(*seen)"],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        env=environment({"DIBS_URL": server.url}),
    )
    assert (ran.stdout, ran.stderr) == ("https://example.org/ https://example.org/a\n", "")
