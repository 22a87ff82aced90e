"""HAProxy.

The rule here: it runs as whoever runs the tests, and logs to its own output.
"""

from pathlib import Path

from tests.plugins.proxies.plan import ADMIN_PORT, DEPLOY, Draft, Plan, is_path

SHIPPED = DEPLOY / "haproxy" / "haproxy.cfg"

OTHER = """
listen site-itself
    bind unix@{directory}/site.sock
    acl is_there path / /index.html
    http-request return status 200 content-type text/html file site/index.html if is_there
    http-request return status 404 content-type text/html string nothing
"""


def write(program: Path, directory: Path, plan: Plan) -> list[str]:
    """Write its configuration; gives the command that runs it."""
    draft = Draft(SHIPPED)
    draft.replace("    log /dev/log local0\n", "    log stdout format raw local0\n")
    draft.replace("    user haproxy\n    group haproxy\n", "")
    draft.replace("    bind :80\n", "    bind fd@{http}\n")
    draft.uncomment("bind :443")
    draft.replace("    bind :443 ", "    bind fd@{https} ")
    draft.replace("/etc/haproxy/chat.example.org.pem", str(plan.certificate))
    if not plan.takes_keys_in_the_clear:
        draft.uncomment("http-request deny deny_status 403 unless")
    draft.replace("server one 127.0.0.1:8080 port 8081", f"server one {_address(plan.first)}")
    if plan.second is not None:
        draft.uncomment("option httpchk", lines=2)
        draft.uncomment("server two")
        draft.replace("server two 127.0.0.1:8090 port 8091", f"server two {_address(plan.second)}")
    draft.text += _beside(directory)
    draft.hasten(r"(?m)^    timeout [a-z-]+ (?P<seconds>\d+)s$", plan.quicker)
    draft.write(directory / "haproxy.cfg")
    return [str(program), "-db", "-f", str(directory / "haproxy.cfg")]


def _beside(directory: Path) -> str:
    """A site that was there before, with the lines that the file has for the gateway below a path.

    On a port of its own, so that the gateway's own site is without them.
    """
    draft = Draft(SHIPPED)
    draft.uncomment("http-request set-var(txn.is_other)", lines=2)
    draft.uncomment("use_backend site")
    draft.uncomment("backend site", lines=2)
    draft.replace("\nfrontend gateway\n", "\nfrontend beside\n")
    draft.replace("    bind :80\n", "    bind fd@{beside}\n")
    draft.replace("127.0.0.1:8000", f"unix@{directory}/site.sock")
    end = draft.text.index("\nbackend gateway\n")
    frontend = draft.text[draft.text.index("\nfrontend beside\n") : end]
    backend = draft.text[draft.text.index("\nbackend site\n") :]
    return frontend + backend + OTHER.format(directory=directory)


def _address(gateway: str) -> str:
    return f"unix@{gateway}" if is_path(gateway) else f"{gateway} port {ADMIN_PORT}"
