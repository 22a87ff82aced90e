"""Apache.

The rule here: the modules are those that the shipped file tells operators to switch on.
"""

import re
from pathlib import Path

from tests.plugins.proxies.plan import DEPLOY, Draft, Plan, is_path

SHIPPED = DEPLOY / "apache"
MODULES = ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules", "/usr/lib/httpd/modules")
# What Debian switches on for everybody; mod_deflate does harm where a shipped file forgets it.
USUAL = ("mpm_event", "authz_core", "dir", "filter", "deflate", "mime", "socache_shmcb", "status")

MAIN = """
ServerRoot {directory}
ServerName localhost
DefaultRuntimeDir {directory}
PidFile {directory}/pid
User nobody
Group nogroup
ErrorLog /dev/stderr
{modules}
TypesConfig /dev/null
SetOutputFilter DEFLATE
<Directory />
    Require all denied
</Directory>
<Location /server-status>
    SetHandler server-status
    Require all granted
</Location>
Listen {host}:{http}
Listen {host}:{https}
Listen {host}:{beside}
Include gateway-workers.conf
Include site.conf
# A site that was there before, with nothing but the lines that gateway.conf says to write.
<VirtualHost *:{beside}>
    ServerName www.example.org
    DocumentRoot {directory}/site
    <Directory {directory}/site>
        DirectoryIndex index.html
        Require all granted
    </Directory>
{below}
{own_errors}
</VirtualHost>
"""
# What Apache itself, or a module that Debian switches on, can answer with.
OWN_ERRORS = (
    *(400, 401, 403, 404, 405, 406, 408, 411, 412, 413, 414, 415, 416, 417, 421, 426, 431),
    *(500, 501, 502, 503, 504, 505),
)
OWN_ERROR = """
<LocationMatch "^/llm/(v1|api)/own-error-{status}$">
    Redirect {status} "/"
</LocationMatch>
"""


def write(program: Path, directory: Path, plan: Plan) -> list[str]:
    """Write its configuration; gives the command that runs it."""
    for file in (*(SHIPPED / "gateway").iterdir(), SHIPPED / "gateway-workers.conf"):
        draft = Draft(file)
        draft.hasten(r"(?m)^Timeout (?P<seconds>\d+)$", plan.quicker, whole=True)
        draft.hasten(r"(?<=header=)(?P<seconds>\d+)", plan.quicker, whole=True)
        draft.hasten(r"(?<=body=)(?P<seconds>\d+)", plan.quicker, whole=True)
        draft.hasten(r"(?<=ProxyTimeout )(?P<seconds>\d+)", plan.quicker, whole=True)
        draft.write(directory / file.relative_to(SHIPPED))
    site = Draft(SHIPPED / "gateway.conf")
    modules = _load(site.text)
    _edit(site, plan)
    site.hasten(r"(?<=timeout=)(?P<seconds>\d+)", plan.quicker, whole=True)
    site.write(directory / "site.conf")
    http, https, beside = plan.ports
    (directory / "apache.conf").write_text(
        MAIN.format(
            directory=directory,
            modules=modules,
            host=plan.host,
            http=http,
            https=https,
            beside=beside,
            below=_lines_for_a_path(),
            own_errors="".join(OWN_ERROR.format(status=status) for status in OWN_ERRORS),
        )
    )
    return [str(program), "-DFOREGROUND", "-f", str(directory / "apache.conf")]


def _edit(site: Draft, plan: Plan) -> None:
    site.replace('BalancerMember "http://127.0.0.1:8080"', f'BalancerMember "{_url(plan.first)}"')
    if plan.second is not None:
        site.uncomment('BalancerMember "http://127.0.0.1:8090"')
        site.replace("http://127.0.0.1:8090", _url(plan.second))
    site.replace("\n<VirtualHost *:80>", f"\n<VirtualHost *:{plan.ports[0]}>")
    site.uncomment("<VirtualHost *:443>", lines=11)
    site.replace("\n<VirtualHost *:443>", f"\n<VirtualHost *:{plan.ports[1]}>")
    site.replace("/etc/letsencrypt/live/chat.example.org/fullchain.pem", str(plan.certificate))
    site.replace("/etc/letsencrypt/live/chat.example.org/privkey.pem", str(plan.certificate))


def _lines_for_a_path() -> str:
    """What gateway.conf tells to write into a site that is there already."""
    site = Draft(SHIPPED / "gateway.conf")
    site.uncomment("AllowEncodedSlashes NoDecode", lines=3)
    start = site.text.index("    AllowEncodedSlashes NoDecode\n")
    return site.text[start : site.text.index("</VirtualHost>", start)]


def _load(shipped: str) -> str:
    """The lines that load what the shipped file names after `a2enmod`."""
    (named,) = re.findall(r"#   a2enmod (.*?)\n#   cp", shipped, re.DOTALL)
    names = re.findall(r"\b[a-z0-9_]+\b", named.split("# and for TLS")[0])
    names += re.findall(r"\b[a-z0-9_]+\b", named.split("for TLS:")[1])
    found = next(path for path in map(Path, MODULES) if path.is_dir())
    wanted = dict.fromkeys([*USUAL, *names])
    return "\n".join(f"LoadModule {name}_module {found}/mod_{name}.so" for name in wanted)


def _url(gateway: str) -> str:
    return f"unix:{gateway}|http://gateway" if is_path(gateway) else f"http://{gateway}"
