"""Pages lead somewhere and read well.

The rule here: a page is judged as a reader sees it; blocks and tables have tests of their own.
"""

import re

import pytest

from tests.docs.pages import ROOT, anchors, links, pages, prose

# A full stop, a blank and a capital: a second sentence in the line.
TWO_SENTENCES = re.compile(r"(?<!e\.g)(?<!i\.e)[.!?] [A-Z]")
NOT_PROSE = ("|", "-", "#", "<!--")
NOT_OF_THE_SENTENCE = re.compile(r"`[^`]*`|^ *\d+\. ")  # code, the number of a step


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: str) -> None:
    """A link into nothing ends the reading."""
    directory = (ROOT / page).parent
    dead = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (directory / path).resolve() if path else ROOT / page
        is_there = target.exists()
        if is_there and anchor:
            is_there = anchor in anchors(str(target.relative_to(ROOT)))
        if not is_there:
            dead.append(link)

    assert dead == []


@pytest.mark.parametrize("page", pages())
def test_a_line_is_one_sentence(page: str) -> None:
    """A change of one sentence is then a change of one line, and long ones stand out."""
    found = [
        line
        for line in prose(page).splitlines()
        if not line.startswith(NOT_PROSE)
        and TWO_SENTENCES.search(NOT_OF_THE_SENTENCE.sub("", line))
    ]

    assert found == []


@pytest.mark.parametrize("page", [page for page in pages() if page.startswith("docs/")])
def test_every_page_is_reached_from_the_readme(page: str) -> None:
    """A page that nobody finds is not read, and then not kept right."""
    reached = {"README.md"}
    waiting = ["README.md"]
    while waiting:
        here = waiting.pop()
        for link in links(here):
            target = ((ROOT / here).parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target.is_file():
                name = str(target.relative_to(ROOT))
                if name not in reached:
                    reached.add(name)
                    waiting.append(name)

    assert page in reached
