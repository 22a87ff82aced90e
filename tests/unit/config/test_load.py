"""Tests of reading both files."""

from pathlib import Path

import pytest
import yaml

from gateway.config.load import (
    LEGACY_VARIABLES,
    check_file,
    load_registry,
    load_settings,
    shipped_file,
)
from gateway.config.problems import ConfigError

CANARY = "sk-canary-c001"
MINE = "providers:\n  mine:\n    base_url: https://llm.example.org/v1\n"

# What `/api/chat` sends beside model, messages and stream, as chatbot-ui's own routes do.
SENT = {
    "groq": {"max_tokens"},
    "mistral": {"max_tokens"},
    "openrouter": {"temperature"},
    "openai": {"temperature"},
    "perplexity": set(),
    "anthropic": {"temperature", "max_tokens"},
    "google": {"temperature"},
    "azure": {"temperature"},
}
# chatbot-ui's caps for what it sends as `max_tokens`.
CAPS = {
    ("groq", "llama3-8b-8192"): 8192,
    ("groq", "llama3-70b-8192"): 8192,
    ("groq", "mixtral-8x7b-32768"): 4096,
    ("groq", "gemma-7b-it"): 8192,
    ("mistral", "mistral-tiny"): 2000,
    ("mistral", "mistral-small-latest"): 2000,
    ("mistral", "mistral-medium-latest"): 2000,
    ("mistral", "mistral-large-latest"): 2000,
    ("anthropic", "claude-3-opus-20240229"): 4096,
}
KEYS = {
    "groq": ("groq_api_key", "GROQ_API_KEY", "Groq"),
    "openrouter": ("openrouter_api_key", "OPENROUTER_API_KEY", "OpenRouter"),
    "openai": ("openai_api_key", "OPENAI_API_KEY", "OpenAI"),
    "mistral": ("mistral_api_key", "MISTRAL_API_KEY", "Mistral"),
    "perplexity": ("perplexity_api_key", "PERPLEXITY_API_KEY", "Perplexity"),
    "anthropic": ("anthropic_api_key", "ANTHROPIC_API_KEY", "Anthropic"),
    "google": ("google_gemini_api_key", "GOOGLE_GEMINI_API_KEY", "Google Gemini"),
    "azure": ("azure_openai_api_key", "AZURE_OPENAI_API_KEY", "Azure OpenAI"),
}
SHIPPED = """
demo groq openrouter openai mistral perplexity together fireworks deepseek xai cerebras
cohere google anthropic azure custom ollama vllm llamacpp lmstudio
""".split()  # noqa: SIM905 - twenty names in quotes are harder to read
LOCAL = {"ollama", "vllm", "llamacpp", "lmstudio"}
CUSTOM = {"custom"}  # whose models are the callers' own


@pytest.fixture
def registry_file(tmp_path: Path) -> Path:
    """Return where a registry may be written, readable by others as files usually are."""
    file = tmp_path / "providers.yaml"
    file.touch(0o644)
    file.chmod(0o644)
    return file


def refused(path: Path, environ: dict[str, str]) -> list[str]:
    """Return the problems of a registry, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        load_registry(path, environ)
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def test_the_registry_that_ships_is_right_and_complete() -> None:
    """It is what `make run` starts with."""
    path = shipped_file("providers.yaml")

    registry = load_registry(path, {})

    assert list(registry.providers) == SHIPPED
    assert registry.credentials == {}
    check_file(path)
    check_file(shipped_file("gateway.yaml"))


def test_every_remote_provider_that_ships_names_a_model_to_begin_with() -> None:
    """A caller that names no model gets an answer, not a puzzle."""
    providers = load_registry(shipped_file("providers.yaml"), {}).providers

    for name in set(SHIPPED) - LOCAL - CUSTOM:
        assert providers[name].default_model is not None, name
        assert providers[name].find_model(providers[name].default_model or "") is not None, name
    for name in LOCAL:
        assert providers[name].allow_private, name
        assert not providers[name].auth.required, name
        assert providers[name].timeouts.keep_alive_s == 4, name


@pytest.mark.parametrize("name", SENT)
def test_the_shipped_registry_sends_what_chatbot_ui_sent(name: str) -> None:
    """A drop-in must not change the answers."""
    provider = load_registry(shipped_file("providers.yaml"), {}).providers[name]

    assert set(provider.params.send) == SENT[name]


@pytest.mark.parametrize(("provider", "model"), CAPS)
def test_the_shipped_registry_keeps_the_caps_of_chatbot_ui(provider: str, model: str) -> None:
    """They are sent as `max_tokens`."""
    found = load_registry(shipped_file("providers.yaml"), {}).providers[provider].find_model(model)

    assert found is not None
    assert found.max_output == CAPS[provider, model]


@pytest.mark.parametrize("name", KEYS)
def test_the_shipped_registry_keeps_the_names_of_chatbot_ui(name: str) -> None:
    """Its profile columns, its variables and its sentences go by them."""
    provider = load_registry(shipped_file("providers.yaml"), {}).providers[name]

    assert (provider.key, provider.env, provider.label) == KEYS[name]


def test_the_shipped_registry_is_plain_yaml_to_other_readers_too() -> None:
    """Editors and scripts read it with parsers of their own."""
    text = shipped_file("providers.yaml").read_text("utf-8")

    assert list(yaml.safe_load(text)["providers"]) == SHIPPED


def test_credentials_are_found_and_never_shown(registry_file: Path) -> None:
    """A registry is passed through the whole gateway."""
    registry_file.write_text(MINE)

    registry = load_registry(registry_file, {"MINE_API_KEY": CANARY})

    assert registry.credentials["mine"][0].secret.get_secret_value() == CANARY
    assert CANARY not in repr(registry)
    assert CANARY not in str(registry)
    assert registry.source == registry_file


def test_a_provider_without_a_credential_is_fine(registry_file: Path) -> None:
    """Nobody has keys for all the providers that ship."""
    registry_file.write_text(MINE)

    registry = load_registry(registry_file, {})

    assert list(registry.providers) == ["mine"]
    assert registry.credentials == {}


def test_no_credential_goes_to_a_placeholder_address() -> None:
    """EXAMPLE.openai.azure.com may be somebody's resource."""
    environ = {"AZURE_OPENAI_API_KEY": CANARY}

    registry = load_registry(shipped_file("providers.yaml"), environ)

    assert "azure" not in registry.credentials


def test_headers_are_filled_in_from_the_environment() -> None:
    """Chatbot-ui knows one such variable: the organisation at OpenAI."""
    path = shipped_file("providers.yaml")

    filled = load_registry(path, {"OPENAI_ORGANIZATION_ID": "org-1"}).providers["openai"]
    without = load_registry(path, {}).providers["openai"]

    assert filled.headers == {"OpenAI-Organization": "org-1"}
    assert without.headers == {}


def test_the_flags_of_the_key_list_follow_the_environment(registry_file: Path) -> None:
    """chatbot-ui locks its inputs by them; a blank-free truthiness is what it uses."""
    registry_file.write_text(MINE)

    flags = load_registry(registry_file, {"AZURE_OPENAI_ENDPOINT": "https://a"}).legacy_flags

    assert set(flags) == set(LEGACY_VARIABLES)
    assert [name for name, is_set in flags.items() if is_set] == ["azure_openai_endpoint"]


def test_a_written_credential_needs_a_private_file(registry_file: Path) -> None:
    """Backups and repositories keep what is in a file that everybody may read."""
    registry_file.write_text(f"{MINE}    credential: {CANARY}\n")

    said = refused(registry_file, {})
    registry_file.chmod(0o600)
    registry = load_registry(registry_file, {})

    assert len(said) == 1
    assert said[0].startswith("4:17: providers.mine.credential: holds the credential itself")
    assert registry.credentials["mine"][0].secret.get_secret_value() == CANARY


def test_what_the_environment_gets_wrong_is_reported_together(
    registry_file: Path, tmp_path: Path
) -> None:
    """Each where it is named, or at its provider; the variable is named, its value is not."""
    registry_file.write_text(
        MINE
        + "    headers: {X-Account: '${ACCOUNT}', X-B: '${B}'}\n    credential: file:/nowhere/key\n"
        + "  other:\n    base_url: https://llm.example.org/v1\n"
        + f"  third:\n    base_url: https://llm.example.org/v1\n    credential: file:{tmp_path}/a\n"
        + "  fourth:\n    base_url: https://llm.example.org/v1\n"
        + f"    tls: {{ca_file: {tmp_path}/b}}\n"
    )

    said = refused(registry_file, {"OTHER_API_KEY": f"{CANARY}\nx"})

    assert [line.split(": ")[:2] for line in said] == [
        ["4:26", "providers.mine.headers.X-Account"],
        ["4:45", "providers.mine.headers.X-B"],
        ["5:17", "providers.mine.credential"],
        ["6:3", "providers.other"],
        ["10:17", "providers.third.credential"],
        ["13:20", "providers.fourth.tls.ca_file"],
    ]
    assert CANARY not in "".join(said)


def test_no_refusal_shows_what_is_in_the_file(registry_file: Path) -> None:
    """Messages of the start go to logs that many people read."""
    registry_file.write_text(
        f"providers:\n  a: {CANARY}\n  b:\n    base_url: {CANARY}\n    api_key: {CANARY}\n"
        f"    retries: {CANARY}\n    auth: {{prefix: ä{CANARY}}}\n    on_client_gone: {CANARY}\n"
    )

    with pytest.raises(ConfigError) as caught:
        load_registry(registry_file, {})

    assert len(caught.value.problems) == 6
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_the_registry_of_the_working_directory_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a providers.yaml means that one; whoever has none still gets a start."""
    monkeypatch.chdir(tmp_path)

    shipped = load_registry(environ={})
    (tmp_path / "providers.yaml").write_text(MINE)
    own = load_registry(environ={})

    assert list(shipped.providers) == SHIPPED
    assert list(own.providers) == ["mine"]


def test_settings_are_optional_unless_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typo after --config must not start a gateway with other settings."""
    monkeypatch.chdir(tmp_path)

    default = load_settings()
    (tmp_path / "gateway.yaml").write_text("server: {port: 9000}\n")
    own = load_settings()

    assert (default.server.port, own.server.port) == (8080, 9000)
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(tmp_path / "gatewy.yaml")


def test_settings_are_read_strictly(tmp_path: Path) -> None:
    """`port: "8080"` works until somebody compares it."""
    file = tmp_path / "gateway.yaml"
    file.write_text('server: {port: "8080"}\nadmin: {enabled: 1}\n')

    with pytest.raises(ConfigError) as caught:
        load_settings(file)

    assert [found.path for found in caught.value.problems] == ["server.port", "admin.enabled"]


def test_an_empty_registry_is_refused_and_an_empty_settings_file_is_not(tmp_path: Path) -> None:
    """All settings have defaults; a gateway without providers has nothing to do."""
    registry, settings = tmp_path / "providers.yaml", tmp_path / "gateway.yaml"
    registry.write_text("# nothing\n")
    settings.write_text("# nothing\n")

    check_file(settings)

    with pytest.raises(ConfigError, match="providers: is missing"):
        check_file(registry)


def test_what_the_operator_has_is_not_taken_where_it_is_not_wanted(registry_file: Path) -> None:
    """Neither out of turn nor to an address that is somebody else's."""
    registry_file.write_text(
        "providers:\n"
        "  groq: {base_url: https://api.groq.com/openai/v1, credential_order: [profile]}\n"
        "  xai: {base_url: https://api.x.ai/v1, credential_order: [profile, operator]}\n"
        "  custom: {base_url: 'models:'}\n"
        "  azure: {base_url: https://EXAMPLE.openai.azure.com/openai/v1}\n"
    )
    environ = {f"{name}_API_KEY": "sk-canary" for name in ("GROQ", "XAI", "CUSTOM", "AZURE")}

    assert set(load_registry(registry_file, environ).credentials) == {"xai"}


def test_a_link_that_leads_nowhere_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway started with the registry that ships and without anybody's `auth`."""
    monkeypatch.chdir(tmp_path)
    for name in ("providers.yaml", "gateway.yaml"):
        (tmp_path / name).symlink_to(tmp_path / "gone")

    with pytest.raises(ConfigError, match=r"^providers.yaml:1:1: a link to"):
        load_registry(environ={})
    with pytest.raises(ConfigError, match=r"^gateway.yaml:1:1: a link to"):
        load_settings(environ={})
