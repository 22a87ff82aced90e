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
LEFT_OUT = (
    "vi ",
    "systemctl ",
    "a2en",
    "a2dis",
    "apachectl ",
    "nginx -t",
    "curl ",
    "cat ",
    "chmod ",
)


MINE, OLD = "# edited by an operator\n", "# of an older version\n"
# What is an operator's to edit, below `/etc`; all else that a page copies is not.
YOURS = {
    "nginx": (
        *("nginx/gateway/site.conf", "nginx/gateway/limits.conf", "nginx/gateway/upstream.conf"),
        *("nginx/gateway/chat-ui-upstream.conf", "nginx/gateway/sub-path.conf"),
        "nginx/gateway/sub-path-prefix.conf",
    ),
    "haproxy": ("haproxy/haproxy.cfg",),
    "caddy": ("caddy/Caddyfile",),
    "apache": (
        "apache2/sites-available/gateway.conf",
        "apache2/conf-available/gateway-workers.conf",
    ),
}


@pytest.mark.parametrize(
    ("page", "program", "copied"),
    [
        ("nginx", "nginx", ("nginx/gateway/sub-path.conf", "nginx/conf.d/gateway.conf")),
        ("haproxy", "haproxy", ("haproxy/haproxy.cfg",)),
        ("caddy", "caddy", ("caddy/Caddyfile", "caddy/gateway.caddy")),
        ("apache", "apache2", ("apache2/gateway/paths.conf",)),
    ],
)
def test_what_a_page_tells_to_copy_is_accepted_and_an_upgrade_keeps_what_was_edited(
    page: str, program: str, copied: tuple[str, ...], tmp_path: Path
) -> None:
    """A file that has moved is found by whoever sets it up, on the machine that is to serve."""
    find_program(program, install=f"apt install {program}", part=page)
    for directory in ("nginx/conf.d", "haproxy", "caddy", "apache2/sites-available"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "apache2/conf-available").mkdir()
    debians = tmp_path / "nginx/sites-enabled/default"
    debians.parent.mkdir()
    debians.touch()
    *setup, upgrade = [
        block.text
        for block in blocks(f"docs/operate/{page}.md")
        if block.language == "sh" and "deploy/" in block.text
    ]

    run(setup, tmp_path)
    assert [name for name in copied if not (tmp_path / name).exists()] == []
    # Its deadline for heads would hold in place of ours, 60 s, because it is the default site.
    assert page != "nginx" or not debians.exists()
    debians.unlink(missing_ok=True)
    names = [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()]
    for name in names:
        (tmp_path / name).write_text(MINE if name in YOURS[page] else OLD)
    run([upgrade], tmp_path)

    kept = {name for name in names if (tmp_path / name).read_text() == MINE}
    assert kept == set(YOURS[page])
    assert [name for name in names if (tmp_path / name).read_text() == OLD] == []


def test_apache_is_started_anew_with_its_threads() -> None:
    """At a reload it keeps `ThreadLimit` as it was, and ends at half of the streams."""
    (setup,) = (
        block.text for block in blocks("docs/operate/apache.md") if "a2enconf" in block.text
    )

    assert setup.splitlines()[-1].startswith("systemctl restart apache2")


def run(texts: list[str], root: Path) -> None:
    """Run the lines of some blocks with another place for `/etc`."""
    lines = [
        line.replace("/etc/", f"{root}/")
        for text in texts
        for line in text.splitlines()
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
