"""The page that says how credentials fare."""

import pytest

from gateway.console.credentials import CredentialDesk, name_credentials
from gateway.core.credential import CredentialStanding, CredentialState
from tests.plugins.admins import AdminCaller, StartAdmin
from tests.plugins.chain import LogLines

NOW = 1_800_000_000.0
STANDINGS = (
    CredentialStanding("groq", "GROQ_A", CredentialState.OK, 12),
    CredentialStanding(
        "groq",
        "file:/run/secrets/groq",
        CredentialState.RESTING,
        1,
        since=NOW,
        until=NOW + 30,
        last_error="upstream_rate_limited",
        last_status=429,
        last_error_at=NOW + 1,
    ),
)


@pytest.fixture
async def admin(start_admin: StartAdmin) -> AdminCaller:
    """An admin."""
    return await start_admin(credentials=CredentialDesk(lambda: STANDINGS))


async def test_programs_get_every_field_of_every_credential(admin: AdminCaller) -> None:
    """The same fields for each, so that nobody has to guess."""
    answer = await admin.get("/credentials")

    rows = answer.body["credentials"]
    assert rows[0] == {
        "provider": "groq",
        "credential_id": "GROQ_A",
        "state": "ok",
        "since": None,
        "until": None,
        "in_flight": 12,
        "last_error": None,
        "last_status": None,
        "last_error_at": None,
    }
    assert rows[1]["until"] == "2027-01-15T08:00:30Z"
    assert (rows[1]["state"], rows[1]["last_error"]) == ("resting", "upstream_rate_limited")


async def test_people_get_a_table(admin: AdminCaller) -> None:
    """In a terminal, with curl."""
    answer = await admin.get("/credentials?format=table")

    assert answer.headers["Content-Type"].startswith("text/plain")
    lines = answer.body.splitlines()
    assert lines[0].split() == [
        "provider",
        "credential_id",
        "state",
        "until",
        "in_flight",
        "last_error",
        "last_status",
    ]
    assert lines[1].split() == ["groq", "GROQ_A", "ok", "-", "12", "-", "-"]
    assert lines[1].index("ok") == lines[2].index("resting")


async def test_a_credential_is_restored_by_name_or_with_all_others(
    start_admin: StartAdmin, log_lines: LogLines
) -> None:
    """Which admin has done it is a line for each."""
    asked: list[tuple[str, str | None]] = []

    def restore(provider: str, credential_id: str | None) -> list[str] | None:
        asked.append((provider, credential_id))
        if provider != "groq":
            return None
        return ["GROQ_A", "file:/run/secrets/groq"] if credential_id is None else []

    admin = await start_admin(credentials=CredentialDesk(restore=restore))

    whole = await admin.post("/credentials/groq/restore")
    one = await admin.post("/credentials/groq/restore", {"credential_id": "GROQ_A"})
    none = await admin.post("/credentials/sk-canary-4711/restore", {})
    odd = await admin.post("/credentials/groq/restore", {"credential": "GROQ_A"})

    assert (whole.status, whole.body["restored"]) == (200, ["GROQ_A", "file:/run/secrets/groq"])
    assert (one.status, one.body) == (200, {"provider": "groq", "restored": []})
    assert (none.status, none.body["error"]["code"]) == (404, "not_found")
    assert "4711" not in none.body["message"]
    assert (odd.status, len(asked)) == (400, 3)
    lines = log_lines.find("credential.restored")
    assert [line["credential_id"] for line in lines] == ["GROQ_A", "file:/run/secrets/groq"]
    assert lines[0]["admin"]


def test_names_are_grouped_by_provider() -> None:
    """How many and which, for readiness."""
    assert name_credentials(STANDINGS) == {"groq": ["GROQ_A", "file:/run/secrets/groq"]}
