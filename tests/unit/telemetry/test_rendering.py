"""How lines look."""

import json

import pytest

from gateway.telemetry.rendering import make_console, render_json, render_logfmt


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({"a": 1, "b": 0.5, "c": True, "d": None}, "a=1 b=0.5 c=true"),
        ({"model": "llama-3.3", "path": "/v1/x"}, "model=llama-3.3 path=/v1/x"),
        ({"reason": "no space", "empty": ""}, 'reason="no space" empty=""'),
        ({"text": 'a "b" = c\\d'}, r'text="a \"b\" = c\\d"'),
        ({"rules": ["few", "each caller"]}, 'rules="few,each caller"'),
        ({"labels": {"team": "sales", "on call": "x"}}, "labels.team=sales labels.on_call=x"),
        ({"labels": {}, "rules": {"few": None}, "count": 1}, "count=1"),
        ({"exception": "a\n  b"}, r'exception="a\n  b"'),
        ({"name": "ümlaut"}, "name=ümlaut"),
    ],
)
def test_logfmt_is_pairs_on_one_line(fields: dict[str, object], written: str) -> None:
    """As Loki, Vector and people with `grep` read it."""
    assert render_logfmt(fields).decode() == written + "\n"


def test_json_is_an_object_on_one_line() -> None:
    """With every field, also where it has no value."""
    line = render_json({"a": None, "b": "x\ny"})

    assert line.endswith(b"}\n")
    assert json.loads(line) == {"a": None, "b": "x\ny"}
    assert line.count(b"\n") == 1


def test_people_read_text() -> None:
    """Coloured where there are colours."""
    line = {"timestamp": "now", "level": "info", "event": "x.happened", "a": "b"}

    assert make_console(is_colored=False)(line) == b"now [info     ] x.happened a=b\n"
    assert b"\x1b[" in make_console(is_colored=True)(line)
