"""nginx.

The rule here: the surroundings do harm, so that a shipped file that forgets `gzip off` is found.
"""

import getpass
import os
import re
import subprocess
from pathlib import Path

from tests.plugins.proxies.plan import DEPLOY, HTTP_PORT, HTTPS_PORT, Draft, Plan, is_path

SHIPPED = DEPLOY / "nginx"

MAIN = """
{user}
daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    {temp_paths}
    access_log access.log;
    gzip on;
    gzip_types *;
    gzip_min_length 1;
    include gateway.conf;
}}
"""


def write(program: Path, directory: Path, plan: Plan) -> list[str]:
    """Write its configuration; gives the command that runs it."""
    built = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
    kinds = sorted(set(re.findall(r"--http-([a-z-]+)-temp-path=", built)))
    temp_paths = "\n    ".join(f"{kind.replace('-', '_')}_temp_path {kind};" for kind in kinds)
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(MAIN.format(user=user, temp_paths=temp_paths))
    for file in (SHIPPED / "gateway").iterdir():
        Draft(file).write(directory / "gateway" / file.name)
    _site(plan).write(directory / "gateway" / "site.conf")
    _upstream(plan).write(directory / "gateway" / "upstream.conf")
    server = Draft(SHIPPED / "gateway.conf")
    server.replace(
        "    include gateway/server.conf;\n",
        "    include gateway/server.conf;\n    include gateway/sub-path.conf;\n",
    )
    server.write(directory / "gateway.conf")
    return [str(program), "-p", str(directory), "-c", "nginx.conf", "-e", "error.log"]


def _site(plan: Plan) -> Draft:
    site = Draft(SHIPPED / "gateway" / "site.conf")
    site.replace("\nlisten 80;", f"\nlisten {plan.host}:{HTTP_PORT};")
    site.uncomment("listen 443 ssl http2;", lines=3)
    site.replace("listen 443 ssl http2;", f"listen {plan.host}:{HTTPS_PORT} ssl http2;")
    site.replace("/etc/letsencrypt/live/chat.example.org/fullchain.pem", str(plan.certificate))
    site.replace("/etc/letsencrypt/live/chat.example.org/privkey.pem", str(plan.certificate))
    site.hasten(r"(?m)^\w+ (?P<seconds>\d+)s;", plan.quicker)
    return site


def _upstream(plan: Plan) -> Draft:
    upstream = Draft(SHIPPED / "gateway" / "upstream.conf")
    upstream.replace("    server 127.0.0.1:8080 ", f"    server {_address(plan.first)} ")
    if plan.second is not None:
        upstream.uncomment("server 127.0.0.1:8090")
        upstream.replace("server 127.0.0.1:8090 ", f"server {_address(plan.second)} ")
    return upstream


def _address(gateway: str) -> str:
    return f"unix:{gateway}" if is_path(gateway) else gateway
