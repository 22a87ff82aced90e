"""tests/unit mirrors gateway/ file by file.

The rule here: an exception is a line of EXCEPTIONS with its reason.
"""

import ast
from pathlib import Path, PurePosixPath

from tests.house.tree import ROOT, name_of, nodes_of, project_files, python_files

EXCEPTIONS = {
    "gateway/stores/counters.py": "a protocol; tests/contract/test_counter_stores.py",
    "gateway/stores/ledger.py": "a protocol; tests/contract/test_ledger_stores.py",
    "gateway/stores/credentials.py": "a protocol; tests/contract/test_credential_stores.py",
    "gateway/telemetry/sinks.py": "a protocol; tests/unit/telemetry/test_log_writer.py",
    "gateway/__main__.py": "one call; tests/system/test_wheel.py starts it",
}


def has_code(path: Path) -> bool:
    """Say whether a module does anything; names, types and constants alone do not."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return any(isinstance(node, functions) for node in nodes_of(path))


def mirrored(path: str) -> str:
    """Where the unit tests of a module are."""
    module = PurePosixPath(path).relative_to("gateway")
    # A package's own concept is in its __init__: the tests bear the package's name.
    stem = module.parent.name if module.stem == "__init__" else module.stem
    return str(PurePosixPath("tests/unit") / module.parent / f"test_{stem}.py")


def test_every_module_with_code_has_its_unit_tests() -> None:
    """A stranger finds the tests of a file without searching."""
    files = {name_of(path) for path in project_files()}
    modules = [name_of(path) for path in python_files("gateway") if has_code(path)]

    missing = [
        f"{module}: {mirrored(module)}"
        for module in modules
        if module not in EXCEPTIONS and mirrored(module) not in files
    ]

    assert not missing, "\n".join(missing)


def test_every_unit_test_has_its_module() -> None:
    """Tests of a module that was renamed or split must move with it."""
    expected = {mirrored(name_of(path)).removesuffix(".py") for path in python_files("gateway")}
    tests = [
        name_of(path).removesuffix(".py")
        for path in python_files("tests/unit")
        if path.name.startswith("test_")
    ]

    # test_<module>_<topic>.py is a module's second file, where one would grow too long.
    orphans = [
        test
        for test in tests
        if not any(test == known or test.startswith(f"{known}_") for known in expected)
    ]

    assert orphans == []


def test_exceptions_name_modules_that_exist() -> None:
    """An exception outlives its file easily, and then excuses the next one of that name."""
    assert [name for name in EXCEPTIONS if not (ROOT / name).is_file()] == []
