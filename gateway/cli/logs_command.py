"""`gateway logs`: its options.

The rule here: this file imports typer alone, as `main` does.
"""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.commands import FLAG, run

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[FILE | FIELD=VALUE]...",
        help=(
            "Log files (- for standard input), and conditions such as provider=groq "
            "'outcome!=finished' 'status>=500' 'duration_s>2s' 'model~llama'."
        ),
    ),
]
FileOption = Annotated[
    list[Path] | None,
    typer.Option(
        envvar="GATEWAY_LOG_FILE",
        help="A log file with a name that looks like a condition; also used if no file is named.",
    ),
]
RotatedOption = Annotated[
    bool,
    typer.Option("--rotated", "-r", metavar=FLAG, help="Also read the rotated files."),
]
FollowOption = Annotated[
    bool,
    typer.Option("--follow", "-f", metavar=FLAG, help="Keep showing lines as they are written."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, help="Only the last N lines.")
]
SlowOption = Annotated[
    str | None,
    typer.Option(help="Only exchanges whose first content took at least this long, such as 2s."),
]
SinceOption = Annotated[
    str | None, typer.Option(help="Start of the period: 1h, 7d or 2026-11-01T12:00 (UTC).")
]
UntilOption = Annotated[str | None, typer.Option(help="End of the period.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="console, json or logfmt. Default: console on a terminal, json elsewhere.",
    ),
]
SummaryOption = Annotated[
    bool, typer.Option("--summary", metavar=FLAG, help="Print tables that sum up the exchanges.")
]
ByOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Group the summary by provider, model, principal, outcome, error_code, status, "
        "credential_id, dialect, refused_by, day or hour; may be repeated. Implies --summary."
    ),
]


def logs(  # noqa: PLR0913 - one for each option
    words: Words = None,
    *,
    file: FileOption = None,
    rotated: RotatedOption = False,
    follow: FollowOption = False,
    limit: LimitOption = None,
    slow: SlowOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    form: FormatOption = None,
    summary: SummaryOption = False,
    by: ByOption = None,
) -> None:
    """Search, follow and summarise a gateway's log."""
    run(
        "logs",
        words=words or (),
        files=file or (),
        rotated=rotated,
        follow=follow,
        limit=limit,
        slow=slow,
        since=since,
        until=until,
        form=form,
        by=(by or ()) if summary or by else None,
    )
