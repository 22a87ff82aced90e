"""The documentation as tests see it: pages, their fenced blocks, their headings and links.

The rule here: a block is found by what it says, never by its number, so that a page can grow.

What the language of a block promises:

- `bash` is run, and the `text` or `json` block right after it is what it prints;
- `shell` is run too, with all the others of its page in one session (`test_walk.py`);
- `python`, `yaml` and `json` are run, checked and parsed; where the first line is a comment
  with a path (`# plugins/teams.py`), the block is that file;
- `sh`, `text`, `nginx` and the rest are shown: they need root, a key or the internet.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[a-z]*)\n(?P<text>.*?)^(?P=indent)```$\n?",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# (?P<path>[\w./-]+\.(?:py|yaml))\n")
_HEADING = re.compile(r"^#{1,6} (?P<text>.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
PLACES = ("docs", "examples", "plugins")
OUTPUTS = frozenset({"text", "json"})


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str
    after: tuple["Block", ...] = field(default=(), repr=False)  # blocks that follow right away

    @property
    def id(self) -> str:
        """Name the block in a test's id."""
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """Give the path of the file that this block is, if it says so."""
        found = _FILE.match(self.text)
        return found["path"] if found else None

    @property
    def output(self) -> str | None:
        """Give what a command prints, if the page shows it."""
        if self.language != "bash" or not self.after or self.after[0].language not in OUTPUTS:
            return None
        return self.after[0].text


def pages() -> list[str]:
    """Name every page of the documentation."""
    inside = [path for top in PLACES for path in (ROOT / top).rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *inside])


def read(page: str) -> str:
    """Give the text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page, in its order."""
    text = read(page)
    made: list[Block] = []
    next_starts = len(text)
    for found in reversed(list(_FENCE.finditer(text))):
        follows = made[0] if made and not text[found.end() : next_starts].strip() else None
        made.insert(
            0,
            Block(
                page=page,
                line=text.count("\n", 0, found.start()) + 1,
                language=found["language"],
                text=re.sub(rf"(?m)^{found['indent']}", "", found["text"]),
                after=() if follows is None else (follows, *follows.after),
            ),
        )
        next_starts = found.start()
    return made


def all_blocks(*languages: str) -> list[Block]:
    """Every block in these languages, of every page."""
    return [block for page in pages() for block in blocks(page) if block.language in languages]


def prose(page: str) -> str:
    """Give the text of a page with its blocks blanked out, line numbers kept."""
    return _FENCE.sub(lambda found: "\n" * found[0].count("\n"), read(page))


def anchors(page: str) -> set[str]:
    """What may stand after the # of a link to a page."""
    headings = (found["text"] for found in _HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


def links(page: str) -> list[str]:
    """Where the links of a page lead."""
    return [found["target"] for found in _LINK.finditer(prose(page))]


def table_rows(page: str, first_heading: str) -> dict[str, list[str]]:
    """Give the rows of every table whose first column has this heading, by their first cell."""
    rows: dict[str, list[str]] = {}
    is_wanted = False
    for line in prose(page).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            is_wanted = False
        elif cells[0] == first_heading:
            is_wanted = True
        elif is_wanted and not set(cells[0]) <= set("-:"):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def matches(expected: str, printed: str) -> bool:
    """Say whether output is what a page shows; `…` stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None
