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
            "Files, - for standard input; and what has to hold, as provider=groq "
            "'outcome!=finished' 'status>=500' 'duration_s>2s' 'model~llama'."
        ),
    ),
]
FileOption = Annotated[
    list[Path] | None,
    typer.Option(
        envvar="GATEWAY_LOG_FILE",
        help="A file, whatever its name looks like; used where no other is named.",
    ),
]
RotatedOption = Annotated[
    bool,
    typer.Option(
        "--rotated", "-r", metavar=FLAG, help="Also the files that those were rotated to."
    ),
]
FollowOption = Annotated[
    bool,
    typer.Option("--follow", "-f", metavar=FLAG, help="Go on with what is written from now on."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, help="The last so many alone.")
]
SlowOption = Annotated[
    str | None,
    typer.Option(help="Exchanges that let their caller wait as long for the first content, as 2s."),
]
SinceOption = Annotated[
    str | None, typer.Option(help="From then on: 1h, 7d or 2026-11-01T12:00, of UTC.")
]
UntilOption = Annotated[str | None, typer.Option(help="Before then.")]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="console, json or logfmt. Default: console on a terminal, json elsewhere.",
    ),
]
SummaryOption = Annotated[
    bool, typer.Option("--summary", metavar=FLAG, help="A table of what the exchanges amount to.")
]
ByOption = Annotated[
    list[str] | None,
    typer.Option(
        help="A row of the summary for each provider, model, principal, outcome, error_code, "
        "status, credential_id, dialect, refused_by, day or hour; may be repeated."
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
    """Show what a gateway has logged: choose, follow, sum up."""
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
