"""The manifests: held against the published schemas, and against the program that they run.

The rule here: no cluster is needed. What the schemas cannot know, that a name in one file is a name
in another, a port one that is listened on, a time long enough, is asked here.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from gateway.config.load import Registry, load_settings
from gateway.config.settings import AdminSpec, ServerSpec, Settings
from gateway.serving.service import PATIENCE_S, Service
from tests.plugins.command_line import options_of

MANIFESTS = Path(__file__).parents[2] / "deploy" / "kubernetes"
MONITORING = MANIFESTS / "monitoring"
# The first that has `sleep` as a hook by default, and the newest that is known here.
VERSIONS = ("1.30", kubernetes_validate.latest_version())


def read(path: Path) -> dict[str, Any]:
    """The one document of a file."""
    document = yaml.safe_load(path.read_text())
    assert isinstance(document, dict)
    return document


FILES = {
    path.stem: read(path)
    for path in sorted(MANIFESTS.rglob("*.yaml"))
    if path.name not in {"gateway.yaml", "prometheus-adapter.values.yaml", "kustomization.yaml"}
}
EXAMPLES = {"http-route.example", "secret.example"}
OF_OTHERS = {"gateway.networking.k8s.io/v1", "monitoring.coreos.com/v1"}  # not in the schemas
KUSTOMIZATION = read(MANIFESTS / "kustomization.yaml")
POD = FILES["deployment"]["spec"]["template"]["spec"]
[GATEWAY] = POD["containers"]
[TABLES] = POD["initContainers"]
LABELS = FILES["deployment"]["spec"]["template"]["metadata"]["labels"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings as a pod finds them, with the example's secret mounted."""
    for name, text in FILES["secret.example"]["stringData"].items():
        (tmp_path / name).write_text(text)
    return load_settings(MANIFESTS / "gateway.yaml", {"CREDENTIALS_DIRECTORY": str(tmp_path)})


@pytest.mark.parametrize("version", VERSIONS)
def test_manifests_are_what_the_cluster_takes(version: str) -> None:
    """A misspelt key is dropped by a cluster, and with it what it should protect."""
    own = [one for one in FILES.values() if one["apiVersion"] not in OF_OTHERS]

    for manifest in own:
        kubernetes_validate.validate(manifest, version, strict=True)

    assert len(own) >= 7


def test_all_manifests_are_applied() -> None:
    """One that no kustomization names protects nothing."""
    named = [
        directory / name
        for directory in (MANIFESTS, MONITORING)
        for name in read(directory / "kustomization.yaml")["resources"]
    ]

    assert [str(path) for path in named if not path.is_file()] == []
    assert {path.stem for path in named} == set(FILES) - EXAMPLES
    assert KUSTOMIZATION["components"] == [MONITORING.name]


def test_kubectl_builds_it() -> None:
    """As `kubectl apply --kustomize` does, where there is one."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed; Debian 12 has none that is new enough")
    done = subprocess.run(
        [kubectl, "kustomize", MANIFESTS], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    built = {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}
    assert len(built) == len(FILES) - len(EXAMPLES) + 1  # the generated ConfigMap
    volumes = built["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert volumes[0]["configMap"]["name"] == built["ConfigMap"]["metadata"]["name"]
    namespaces = {one["metadata"].get("namespace") for one in built.values()}
    assert namespaces == {None, KUSTOMIZATION["namespace"]}


def test_everything_selects_the_gateway() -> None:
    """A selector that fits nothing is no mistake to a cluster."""
    selectors = [
        FILES["deployment"]["spec"]["selector"]["matchLabels"],
        FILES["service"]["spec"]["selector"],
        FILES["pod-disruption-budget"]["spec"]["selector"]["matchLabels"],
        FILES["network-policy"]["spec"]["podSelector"]["matchLabels"],
        FILES["pod-monitor"]["spec"]["selector"]["matchLabels"],
        *(one["labelSelector"]["matchLabels"] for one in POD["topologySpreadConstraints"]),
    ]
    scaled = FILES["horizontal-pod-autoscaler"]["spec"]["scaleTargetRef"]

    assert all(selector == LABELS for selector in selectors)
    assert scaled["name"] == FILES["deployment"]["metadata"]["name"]
    assert POD["serviceAccountName"] == FILES["service-account"]["metadata"]["name"]


def test_ports_are_those_that_are_listened_on(settings: Settings) -> None:
    """And each rule and probe names one of them."""
    ports = {port["name"]: port["containerPort"] for port in GATEWAY["ports"]}
    probes = [GATEWAY[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    public, admin = FILES["network-policy"]["spec"]["ingress"]

    assert ports == {"http": settings.server.port, "admin": settings.admin.port}
    assert [(probe["path"], probe["port"]) for probe in probes] == [
        ("/healthz", "admin"),
        ("/healthz", "admin"),
        ("/readyz", "admin"),
    ]
    assert (public["ports"], admin["ports"]) == ([{"port": "http"}], [{"port": "admin"}])
    assert FILES["service"]["spec"]["ports"][0]["targetPort"] == "http"
    assert [one["port"] for one in FILES["pod-monitor"]["spec"]["podMetricsEndpoints"]] == ["admin"]


def test_the_route_leads_to_the_service_and_cuts_nothing() -> None:
    """Without a word about time Envoy ends each answer after 15 seconds."""
    [rule] = FILES["http-route.example"]["spec"]["rules"]
    service = FILES["service"]
    [parent] = FILES["http-route.example"]["spec"]["parentRefs"]
    public, _ = FILES["network-policy"]["spec"]["ingress"]
    let_in = public["from"][0]["namespaceSelector"]["matchLabels"]

    assert rule["backendRefs"] == [
        {"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}
    ]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert {match["path"]["value"] for match in rule["matches"]} == {"/v1", "/api"}
    assert let_in["kubernetes.io/metadata.name"] == parent["namespace"]


def test_only_those_who_measure_reach_the_admin_port() -> None:
    """L06: health and metrics ask for no key."""
    _, admin = FILES["network-policy"]["spec"]["ingress"]

    assert FILES["network-policy"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert admin["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]


def test_the_program_knows_its_commands() -> None:
    """A renamed option would be a pod that never starts."""
    name, *words = GATEWAY["args"]
    upgrade = TABLES["args"]

    assert {word.partition("=")[0] for word in words} <= options_of(name)
    assert {word for word in upgrade if word.startswith("--")} <= options_of(*upgrade[:2])


def test_answers_end_before_the_pod_is_killed(settings: Settings) -> None:
    """K01: the hook, the time to drain and the last words, one after the other."""
    hook_s = GATEWAY["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert POD["terminationGracePeriodSeconds"] > hook_s + settings.server.drain_s + PATIENCE_S


def test_liveness_is_slower_than_readiness() -> None:
    """A gateway that is busy for a moment gets no callers; it is not killed with its streams."""
    waits = {
        name: GATEWAY[name]["periodSeconds"] * GATEWAY[name]["failureThreshold"]
        for name in ("livenessProbe", "readinessProbe")
    }

    assert waits["livenessProbe"] >= 10 * waits["readinessProbe"]
    assert GATEWAY["lifecycle"]["preStop"]["sleep"]["seconds"] > waits["readinessProbe"]


def test_secrets_are_files_and_complete(settings: Settings, tmp_path: Path) -> None:
    """What settings ask for is in the secret, is mounted, and stands in no environment."""
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    asked = set(re.findall(r"\$\{(\w+)\}", (MANIFESTS / "gateway.yaml").read_text()))
    mounts = {mount["name"]: mount["mountPath"] for mount in GATEWAY["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in POD["volumes"]}

    assert asked <= set(FILES["secret.example"]["stringData"])
    assert GATEWAY["env"] == [{"name": "CREDENTIALS_DIRECTORY", "value": mounts["secrets"]}]
    assert volumes["secrets"]["secret"]["secretName"] == FILES["secret.example"]["metadata"]["name"]
    # It has no root to read a file of root's with: the group does.
    assert volumes["secrets"]["secret"]["defaultMode"] & 0o040
    assert "fsGroup" in POD["securityContext"]
    assert settings.stores.find_database(environ).shown.startswith("postgresql://")
    assert settings.stores.find_counters(environ) is not None
    assert settings.stores.find_peppers(environ)
    assert settings.stores.find_encryption_keys(environ)


def test_what_is_written_is_on_a_volume(settings: Settings) -> None:
    """The root is read-only; and the settings are those of the ConfigMap."""
    mounts = {mount["name"]: mount["mountPath"] for mount in GATEWAY["volumeMounts"]}
    [generated] = KUSTOMIZATION["configMapGenerator"]

    assert str(settings.ledger.directory.parent) == mounts["state"]
    assert f"--config={mounts['settings']}/{generated['files'][0]}" in GATEWAY["args"]
    assert all(one["volumeMounts"] == GATEWAY["volumeMounts"] for one in POD["initContainers"])


def test_pods_keep_to_the_restricted_profile() -> None:
    """The namespace enforces it: a pod that does not keep to it is refused."""
    context = POD["securityContext"]
    enforced = FILES["namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]

    assert enforced == "restricted"
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (GATEWAY, TABLES):
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
    assert {key for volume in POD["volumes"] for key in volume} == {
        "name",
        "configMap",
        "secret",
        "emptyDir",
    }


async def fetch_metrics() -> str:
    """What Prometheus reads from a gateway that nobody has called yet."""
    settings = Settings(server=ServerSpec(port=0), admin=AdminSpec(port=0))
    service = Service(settings, Registry({}, {}), lambda _: None)
    await service.start()
    try:
        async with ClientSession() as session, session.get(f"{service.admin_url}/metrics") as page:
            return await page.text()
    finally:
        await service.stop()


async def test_pods_are_counted_by_a_metric_that_there_is() -> None:
    """The adapter's rule and the autoscaler name it, and a metric that is renamed is silent."""
    adapter = read(MONITORING / "prometheus-adapter.values.yaml")
    [rule] = adapter["rules"]["custom"]
    pods, _ = FILES["horizontal-pod-autoscaler"]["spec"]["metrics"]
    families = text_string_to_metric_families(await fetch_metrics())
    samples = {sample.name for family in families for sample in family.samples}

    name = pods["pods"]["metric"]["name"]
    assert name in samples
    assert rule["seriesQuery"].partition("{")[0] == name
    assert rule["name"]["as"] == name
    assert re.fullmatch(rule["name"]["matches"], name)


def test_the_image_is_named_once() -> None:
    """And as the Containerfile's user runs it."""
    [image] = KUSTOMIZATION["images"]
    containerfile = (MANIFESTS.parent / "container" / "Containerfile").read_text()

    assert {GATEWAY["image"], TABLES["image"]} == {image["name"]}
    assert f"USER {POD['securityContext']['runAsUser']}:" in containerfile
