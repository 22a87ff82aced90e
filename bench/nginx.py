"""Plain nginx as the yardstick: found, configured and checked.

The rule here: each line of the configuration that is not nginx's default says why it is there.
"""

import getpass
import os
import re
import shutil
import subprocess
from pathlib import Path

# Debian keeps servers where the PATH of an ordinary user does not look; Homebrew has its own place.
MORE_PATH = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin")
INSTALL = "apt install nginx-light, or brew install nginx"

CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;               # one core is measured
worker_rlimit_nofile {open_files};
pid nginx.pid;
error_log error.log;

events {{ worker_connections {open_files}; }}

http {{
    {temp_paths}
    access_log access.log;        # one line a request, as the gateway writes
    keepalive_requests 10000000;  # the default of 1000 would reconnect all the time

    upstream http {{
        server 127.0.0.1:{http_port};
        keepalive 1024;
        keepalive_requests 10000000;
    }}
    upstream https {{
        server 127.0.0.1:{https_port};
        keepalive 1024;
        keepalive_requests 10000000;
    }}

    proxy_http_version 1.1;       # with the next line: connections to the upstream are reused
    proxy_set_header Connection "";
    proxy_buffering off;          # each chunk leaves when it comes
    proxy_ssl_verify on;
    proxy_ssl_trusted_certificate {authority};
    proxy_ssl_name {server_name};
    proxy_ssl_protocols TLSv1.2 TLSv1.3;  # older versions of nginx would stay at 1.2
    proxy_ssl_session_reuse on;

    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /http/ {{ proxy_pass http://http/; }}
        location /https/ {{ proxy_pass https://https/; }}
    }}
}}
"""


class NginxMissingError(RuntimeError):
    """There is no nginx to compare with."""


def find_nginx() -> Path:
    """The nginx program."""
    found = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], *MORE_PATH]))
    if found is None:
        raise NginxMissingError(
            f"nginx is not installed ({INSTALL}); "
            "--systems relay,gateway measures without it and gives no ratios"
        )
    return Path(found)


def read_version(program: Path) -> str:
    """Its version and the TLS library it was built with."""
    lines = _read_build(program).splitlines()
    version = lines[0].rpartition("/")[2]
    library = next((line for line in lines if "SSL" in line and "built" in line), "no TLS")
    return f"{version}, {library}"


def write_configuration(program: Path, prefix: Path, facts: dict[str, object]) -> None:
    """Write nginx.conf with every path below `prefix`."""
    kinds = sorted(set(re.findall(r"--http-([a-z-]+)-temp-path=", _read_build(program))))
    temp_paths = "\n    ".join(f"{kind.replace('-', '_')}_temp_path {kind};" for kind in kinds)
    # Only root may name a user; without it the worker would be `nobody`, who cannot write here.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    text = CONFIGURATION.format(user=user, temp_paths=temp_paths, **facts)
    (prefix / "nginx.conf").write_text(text, encoding="utf-8")


def _read_build(program: Path) -> str:
    return subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
