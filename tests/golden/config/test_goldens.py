"""What `gateway check` prints for each `<case>.yaml` beside this file stands in `<case>.txt`.

Rule: a new case is two new files; no case is written here.
"""

import shutil
from pathlib import Path

import pytest

from gateway.cli.check import check

HERE = Path(__file__).parent
CASES = sorted(path.stem for path in HERE.glob("*.yaml"))


@pytest.mark.parametrize("case", CASES)
def test_every_mistake_is_printed_with_its_place_and_its_remedy(
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An operator mends a file in one go only if every line of it says what to write."""
    monkeypatch.chdir(tmp_path)
    file = Path(f"{case}.yaml")
    shutil.copyfile(HERE / file, file)
    file.chmod(0o644)  # whatever the umask of the checkout
    expected = (HERE / f"{case}.txt").read_text("utf-8")

    code = check([file])

    printed = capsys.readouterr().out
    assert printed == expected
    assert code == (1 if expected else 0)


@pytest.mark.parametrize("case", CASES)
def test_no_message_quotes_a_value(case: str) -> None:
    """What stands in the wrong place may be a credential, and terminals are recorded."""
    expected = (HERE / f"{case}.txt").read_text("utf-8")

    assert "canary" not in expected
