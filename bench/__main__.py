"""`python -m bench`: start everything, measure, print and keep the report, end everything.

The rule here: whatever was started is ended on the way out, also on Ctrl-C and SIGTERM.
"""

import signal
import sys
import tempfile
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import FrameType

from bench.figures import Results
from bench.generator import run_generator
from bench.machine import choose_cores, describe_machine, pinned_to, raise_open_files
from bench.measure import Bench
from bench.nginx import NginxMissingError, find_nginx, read_version
from bench.options import Options, read_options
from bench.programs import ProgramError
from bench.report import render_report
from bench.subjects import measure_all
from bench.systems import run_upstream

ENDS = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    """Run the benchmark; 1 when an exchange failed, 2 when it could not be run."""
    for number in ENDS:
        signal.signal(number, _leave)
    options = read_options()
    try:
        results, report = run(options)
    except (NginxMissingError, ProgramError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Interrupted: everything that was started has been ended.", file=sys.stderr)
        return 130
    print(f"\n{report}")
    print(f"Written to {keep(report, options.results)}")
    return 1 if results.failures else 0


def run(options: Options) -> tuple[Results, str]:
    """Measure everything that was asked for; the results and the report."""
    cores, open_files, results = choose_cores(), raise_open_files(), Results()
    nginx_version = read_version(find_nginx()) if "nginx" in options.systems else "not measured"
    machine = describe_machine(cores, nginx_version)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        # We poll and print: not on the core of the system under test.
        stack.enter_context(pinned_to(cores.others))
        site = stack.enter_context(run_upstream(scratch, cores, open_files))
        generator = stack.enter_context(run_generator(scratch, cores))
        measure_all(Bench(options, site, generator, results))
    return results, render_report(results, options, machine)


def keep(report: str, directory: Path) -> Path:
    """Write the report to a file named after the moment."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{datetime.now().astimezone():%Y-%m-%d-%H%M%S}.md"
    path.write_text(report, encoding="utf-8")
    return path


def _leave(_number: int, _frame: FrameType | None) -> None:
    for number in ENDS:
        signal.signal(number, signal.SIG_IGN)  # an impatient second one would stop the cleaning up
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
