"""nginx.

The rule here: the surroundings do harm, so that a shipped file that forgets `gzip off` is found.
"""

import getpass
import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path

from tests.plugins.proxies.plan import DEPLOY, Draft, Plan, is_path

SHIPPED = DEPLOY / "nginx"
DENIED = "127.0.0.66"  # whom the other site keeps out

MAIN = """
{user}
daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    {temp_paths}
    log_format forwarded '$gateway_request_id $upstream_addr';
    access_log access.log forwarded;
    gzip on;
    gzip_types *;
    gzip_min_length 1;
    include site.conf;

    # A site that was there before, with nothing but what gateway/sub-path.conf says to write.
    server {{
        listen {beside};
        deny {denied};
        include gateway/server.conf;
        include gateway/sub-path.conf;

        location / {{
            root site;
        }}
    }}
}}
"""


def write(program: Path, directory: Path, plan: Plan) -> list[str]:
    """Write its configuration; gives the command that runs it."""
    # Only root may name a user; without it the worker would be `nobody`, who cannot write here.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    beside = f"{plan.host}:{plan.ports[2]}"
    text = MAIN.format(user=user, temp_paths=_temp_paths(program), beside=beside, denied=DENIED)
    (directory / "nginx.conf").write_text(text)
    for file in (SHIPPED / "gateway").iterdir():
        Draft(file).write(directory / "gateway" / file.name)
    _site(plan).write(directory / "gateway" / "site.conf")
    _limits(plan).write(directory / "gateway" / "limits.conf")
    _upstream(plan).write(directory / "gateway" / "upstream.conf")
    if plan.chat_ui is None:
        Draft(SHIPPED / "gateway.conf").write(directory / "site.conf")
    else:
        Draft(SHIPPED / "chat-ui.conf").write(directory / "site.conf")
        chat_ui = Draft(SHIPPED / "gateway" / "chat-ui-upstream.conf")
        chat_ui.replace("server 127.0.0.1:3000;", f"server {plan.chat_ui};")
        chat_ui.write(directory / "gateway" / "chat-ui-upstream.conf")
    return [str(program), "-p", str(directory), "-c", "nginx.conf", "-e", "error.log"]


def write_http10(program: Path, directory: Path, plan: Plan) -> list[str]:
    """The same, with what nginx speaks to a gateway in a configuration that is not ours."""
    command = write(program, directory, plan)
    location = Draft(SHIPPED / "gateway" / "location.conf")
    location.replace("proxy_http_version 1.1;", "proxy_http_version 1.0;")
    location.write(directory / "gateway" / "location.conf")
    return command


@lru_cache
def _temp_paths(program: Path) -> str:
    built = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
    kinds = sorted(set(re.findall(r"--http-([a-z-]+)-temp-path=", built)))
    return "\n    ".join(f"{kind.replace('-', '_')}_temp_path {kind};" for kind in kinds)


def _site(plan: Plan) -> Draft:
    http, https, _ = plan.ports
    site = Draft(SHIPPED / "gateway" / "site.conf")
    site.replace("\nlisten 80;", f"\nlisten {plan.host}:{http};")
    site.uncomment("listen 443 ssl http2;", lines=3)
    site.replace("listen 443 ssl http2;", f"listen {plan.host}:{https} ssl http2;")
    site.replace("/etc/letsencrypt/live/chat.example.org/fullchain.pem", str(plan.certificate))
    site.replace("/etc/letsencrypt/live/chat.example.org/privkey.pem", str(plan.certificate))
    site.hasten(r"(?m)^\w+ (?P<seconds>\d+)s;", plan.quicker)
    return site


def _limits(plan: Plan) -> Draft:
    limits = Draft(SHIPPED / "gateway" / "limits.conf")
    if plan.patience_s is not None:
        wanted = f"proxy_read_timeout {round(plan.patience_s * 1000)}ms;"
        limits.replace("proxy_read_timeout 660s;", wanted)
    limits.hasten(r"(?m)^\w+ (?P<seconds>\d+)s;", plan.quicker)
    return limits


def _upstream(plan: Plan) -> Draft:
    upstream = Draft(SHIPPED / "gateway" / "upstream.conf")
    upstream.replace("    server 127.0.0.1:8080 ", f"    server {_address(plan.first)} ")
    if plan.second is not None:
        upstream.uncomment("server 127.0.0.1:8090")
        upstream.replace("server 127.0.0.1:8090 ", f"server {_address(plan.second)} ")
    return upstream


def _address(gateway: str) -> str:
    return f"unix:{gateway}" if is_path(gateway) else gateway
