"""What a test wants of a proxy, and how the shipped files are edited for it.

The rule here: an edit that finds its line not exactly as often as expected fails.
"""

import re
from dataclasses import dataclass
from pathlib import Path

DEPLOY = Path(__file__).parents[3] / "deploy"
HTTP_PORT, HTTPS_PORT, BESIDE_PORT = 8080, 8443, 8082
ADMIN_PORT = 8081
OTHER_SITE = "the other site\n"
# How long the shipped files wait for a silent gateway; and those of a quicker one, before division.
PATIENCE_S, SHORT_PATIENCE_S = 660, 60


@dataclass(frozen=True)
class Plan:
    """Where a proxy listens, what it stands in front of, and what differs from what ships."""

    host: str  # an address of this machine's own, so that the ports are free
    gateways: tuple[str, ...]  # of one, `host:port` or the path of a socket; or of two
    certificate: Path  # with its key in the same file
    quicker: int = 1  # by how much every duration is divided
    # Without TLS, with it, and of another site that has the gateway below a path.
    ports: tuple[int, ...] = (HTTP_PORT, HTTPS_PORT, BESIDE_PORT)
    # A front end on the same host name, for which nginx has a file; and its patience with a silent
    # gateway, where it is not what ships.
    chat_ui: str | None = None
    patience_s: float | None = None
    takes_keys_in_the_clear: bool = True  # HAProxy has a line against that

    @property
    def first(self) -> str:
        """The gateway that is there in any case."""
        return self.gateways[0]

    @property
    def second(self) -> str | None:
        """The other one of two."""
        return self.gateways[1] if len(self.gateways) > 1 else None


def write_other_site(directory: Path) -> None:
    """Make the page of the site that was there before."""
    (directory / "site").mkdir()
    (directory / "site" / "index.html").write_text(OTHER_SITE)


def is_path(gateway: str) -> bool:
    """Whether a gateway is reached by a socket in the file system."""
    return gateway.startswith("/")


class Draft:
    """A copy of a shipped file that is being edited."""

    def __init__(self, shipped: Path) -> None:
        self.text = shipped.read_text(encoding="utf-8")

    def replace(self, old: str, new: str, *, count: int = 1) -> None:
        """Put a text in the place of another one."""
        found = self.text.count(old)
        assert found == count, f"{old!r} is there {found} times"
        self.text = self.text.replace(old, new)

    def uncomment(self, first: str, *, lines: int = 1) -> None:
        """Take the comment off a line that begins like this, and off those below it."""
        kept = self.text.split("\n")
        (start,) = [n for n, line in enumerate(kept) if line.lstrip(" \t#").startswith(first)]
        for number in range(start, start + lines):
            kept[number] = re.sub(r"^(\s*)# ?", r"\1", kept[number])
        self.text = "\n".join(kept)

    def hasten(self, pattern: str, quicker: int, *, whole: bool = False) -> None:
        """Divide the seconds that a pattern finds; in `whole` ones they are one at least."""

        def divide(found: re.Match[str]) -> str:
            seconds = int(found["seconds"]) / quicker
            shorter = str(max(1, round(seconds))) if whole else f"{round(seconds * 1000)}m"
            return found[0].replace(found["seconds"], shorter, 1)

        if quicker > 1:
            self.text = self.text.replace(f"{PATIENCE_S}", f"{SHORT_PATIENCE_S}")
            self.text = re.sub(pattern, divide, self.text)

    def write(self, file: Path) -> None:
        """Write it where the proxy reads it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.text, encoding="utf-8")
