"""The pages about proxies: what they tell to copy and to check.

The rule here: the commands are run as they stand, but for where `/etc` is.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.plugins.programs import MORE_PATH, find_program

# What needs root, a terminal or the service itself.
LEFT_OUT = ("vi ", "systemctl ", "a2en", "apachectl ", "nginx -t", "curl ", "cat ", "chmod ")


@pytest.mark.parametrize(
    ("page", "program", "copied"),
    [
        ("nginx", "nginx", ("nginx/gateway/sub-path.conf", "nginx/conf.d/gateway.conf")),
        ("haproxy", "haproxy", ("haproxy/haproxy.cfg",)),
        ("caddy", "caddy", ("caddy/Caddyfile", "caddy/gateway.caddy")),
        ("apache", "apache2", ("apache2/gateway/paths.conf",)),
    ],
)
def test_what_a_page_tells_to_copy_is_accepted(
    page: str, program: str, copied: tuple[str, ...], tmp_path: Path
) -> None:
    """A file that has moved is found by whoever sets it up, on the machine that is to serve."""
    find_program(program, install=f"apt install {program}", part=page)
    for directory in ("nginx/conf.d", "haproxy", "caddy", "apache2/sites-available"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "apache2/conf-available").mkdir()
    lines = [
        line.replace("/etc/", f"{tmp_path}/")
        for block in blocks(f"docs/operate/{page}.md")
        if block.language == "sh"
        for line in block.text.splitlines()
        if not line.startswith(LEFT_OUT)
    ]

    for line in lines:
        done = subprocess.run(
            ["bash", "-euc", line],
            cwd=ROOT,
            env={**os.environ, "PATH": os.pathsep.join([os.environ["PATH"], *MORE_PATH])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (line, done.stderr)

    assert [name for name in copied if not (tmp_path / name).exists()] == []
