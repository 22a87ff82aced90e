"""The sizes in docs/operate/scale.md.

The rule here: a row of a table that is derived follows from the figures above it.
"""

import math
import re

from gateway.stores.database import POOL_SIZE
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "operate" / "scale.md").read_text(encoding="utf-8")
FIGURES = re.compile(
    r"<!-- sizes: (\d+) chunks a second, (\d+) µs each, (\d+) % of a core, (\d+) MiB and (\d+) KiB"
)
ROW = re.compile(r"^\| ([\d,]+) \| ([\d.]+) \| (\d+) \| ([\d,]+) MiB \| ([\d,]+) \|$", re.MULTILINE)
OF_POSTGRESQL = re.compile(r"^\| .*PostgreSQL.* \| up to (\d+) \| (\d+) \|$", re.MULTILINE)
WORKERS_OF_THE_EXAMPLE = 12
OF_WORKERS = re.compile(
    r"takes (\d+) µs of a core, and (\d+) from a provider over TLS .*"
    r"carries (\d+) streams at (\d+) chunks"
)


def number(text: str) -> float:
    """A number as a page writes it."""
    return float(text.replace(",", ""))


def test_the_sizes_follow_from_the_figures() -> None:
    """Whoever orders machines by them orders too few where one figure is changed and no row."""
    [figures] = FIGURES.findall(PAGE)
    chunks_per_s, chunk_us, share, worker_mib, stream_kib = map(int, figures)
    rows = ROW.findall(PAGE)

    assert len(rows) == 5
    for row in rows:
        streams, cores, workers, memory_mib, files = map(number, row)
        busy = streams * chunks_per_s * chunk_us / 1_000_000
        needed = math.ceil(busy * 100 / share)
        assert (cores, workers) == (round(busy, 1), needed), row
        assert memory_mib == round(workers * worker_mib + streams * stream_kib / 1024), row
        assert files == 2 * streams


def test_the_page_about_workers_says_the_same() -> None:
    """It is the one that is read first, by whoever asks whether one worker is enough."""
    page = (ROOT / "docs" / "operate" / "workers.md").read_text(encoding="utf-8")
    [(plain_us, tls_us, streams, chunks_per_s)] = OF_WORKERS.findall(page)
    [(_, chunk_us, share, _, _)] = FIGURES.findall(PAGE)

    assert f"| {tls_us} µs of CPU, {plain_us} over http |" in PAGE
    assert tls_us == chunk_us
    assert int(streams) * int(chunks_per_s) * int(tls_us) / 10_000 <= int(share)


def test_connections_are_as_many_as_the_pools_hold() -> None:
    """A database that has fewer turns the last worker away."""
    rows = OF_POSTGRESQL.findall(PAGE)

    assert len(rows) == 4
    assert {int(each) for each, _ in rows} == {POOL_SIZE}
    assert {int(all_of_them) for _, all_of_them in rows} == {POOL_SIZE * WORKERS_OF_THE_EXAMPLE}
