"""The options of `gateway logs`."""

from pathlib import Path

from typer.testing import CliRunner

from gateway.cli.main import app
from tests.plugins.log_lines import settled, written


def test_the_usual_file_may_be_a_variable(tmp_path: Path) -> None:
    """An administrator of one gateway types its path once."""
    path = tmp_path / "status=1"
    path.write_bytes(written(settled()))
    runner = CliRunner(env={"GATEWAY_LOG_FILE": str(path)})

    done = runner.invoke(app, ["logs", "provider=groq"], catch_exceptions=False)

    assert done.stdout.encode() == written(settled())


def test_groups_ask_for_a_summary(tmp_path: Path) -> None:
    """`--by` without `--summary` means the same."""
    path = tmp_path / "gateway.log"
    path.write_bytes(written(settled()))

    outputs = [
        CliRunner().invoke(app, ["logs", str(path), *words], catch_exceptions=False).stdout
        for words in (["--by", "provider"], ["--summary", "--by", "provider"])
    ]

    assert outputs[0] == outputs[1]
    assert "groq" in outputs[0]
