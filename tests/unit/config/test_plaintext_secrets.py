"""Tests of finding secrets that stand in a file themselves."""

from pathlib import Path

import pytest

from gateway.config.document import load_document
from gateway.config.plaintext_secrets import open_registry_secrets, open_settings_secrets

CANARY = "sk-canary-2b90"
REGISTRY = f"""
providers:
  a:
    base_url: https://llm.example.org/v1
    headers: {{X-Api-Key: {CANARY}, X-Title: Chat, X-Token: "${{TOKEN}}"}}
  b:
    auth: {{header: X-Api-Key}}
    headers: {{x-api-key: {CANARY}}}
    credential: {CANARY}
  c:
    credentials: ["${{A}}", {CANARY}, file:/a]
  d: {CANARY}
  e: {{headers: [{CANARY}], credentials: {CANARY}, auth: 5}}
  f:
    base_url: https://llm.example.org/{CANARY}/v1
    auth: {{prefix: "Bearer {CANARY}"}}
    headers: {{X-Title: "${{A:-{CANARY}}}", X-Functions-Key: abc, X-Auth: "${{A}}"}}
    params:
      set:
        api_key: abc
        stop_token: abc
        user: {CANARY}
        list: [{{deep: {CANARY}}}, 5, "${{A}}"]
        model: pplx-70b-online
    models: [{{id: pplx-70b-online}}]
    default_model: pplx-70b-online
"""
SETTINGS = f"""
auth:
  - {{kind: jwt, secret: {CANARY}}}
  - {{kind: jwt, secret: "${{A}}"}}
  - {CANARY}
admin: {{keys: {{ops: {CANARY}}}}}
limits: [{{match: {{model: pplx-70b-online}}}}]
tracing: {{headers: {{X-Title: "Bearer ${{A}}"}}, resource: {{a: {CANARY}}}}}
"""


def places(path: Path, text: str) -> list[str]:
    """Return where secrets stand that others may read."""
    path.write_text(text)
    find = open_settings_secrets if path.name == "gateway.yaml" else open_registry_secrets
    problems = find(load_document(path), path)
    assert CANARY not in "".join(map(str, problems))
    return [problem.path for problem in problems]


def test_every_credential_of_the_registry_is_found(tmp_path: Path) -> None:
    """Whatever else is wrong with its entry; the header of `auth` is refused for itself."""
    path = tmp_path / "providers.yaml"

    assert places(path, REGISTRY) == [
        "providers.a.headers.X-Api-Key",
        "providers.b.credential",
        "providers.c.credentials[1]",
        "providers.f.headers.X-Title",
        "providers.f.headers.X-Functions-Key",
        "providers.f.base_url",
        "providers.f.auth.prefix",
        "providers.f.params.set.user",
        "providers.f.params.set.list[0].deep",
        "providers.f.params.set.api_key",
    ]


def test_every_secret_of_the_settings_is_found(tmp_path: Path) -> None:
    """The one that tokens are signed with lets anybody be anybody."""
    assert places(tmp_path / "gateway.yaml", SETTINGS) == [
        "auth[0].secret",
        "auth[2]",
        "admin.keys.ops",
        "tracing.resource.a",
    ]


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_one_s_own_may_hold_secrets(tmp_path: Path, mode: int) -> None:
    """On a machine of one's own that is as good as a file for each."""
    for name, text in (("providers.yaml", REGISTRY), ("gateway.yaml", SETTINGS)):
        path = tmp_path / name
        path.touch()
        path.write_text(text)
        path.chmod(mode)
        find = open_settings_secrets if name == "gateway.yaml" else open_registry_secrets

        assert find(load_document(path), path) == []


@pytest.mark.parametrize("text", ["", "providers: 5", "auth: {a: b}", "- a", "x"])
def test_what_is_no_configuration_has_no_secrets(tmp_path: Path, text: str) -> None:
    """What is wrong with it is for the models to say."""
    for name in ("providers.yaml", "gateway.yaml"):
        assert places(tmp_path / name, text) == []
