"""The Helm chart: what it refuses, what it renders, and that its roles are enough and no more."""

from __future__ import annotations

import itertools
import json
import re
import signal
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rig.admission_policies import policies
from rig.asking import ask
from rig.files import ROOT
from rig.hub_namespace import HubNamespace
from rig.kubectl import Kubectl
from rig.patience import eventually
from rig.tcf_processes import TcfProcess, TcfProcesses
from support.chart import CHART, Helm
from support.hub_caller import MERGE, administrator
from support.installed import MEMBERS, Installed, Right, resources

from tcf.core.heartbeat import HEARTBEAT

Json = dict[str, Any]

MORE: Json = {
    "extraArgs": ["--log-format=json"],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.test:3128"}],
    "extraVolumes": [{"name": "more", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    "podLabels": {"sidecar.istio.io/inject": "false"},
    "podAnnotations": {"a": "b"},
    "nodeSelector": {"zone": "a"},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "topologySpreadConstraints": [
        {
            "maxSkew": 2,
            "topologyKey": "zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"a": "b"}},
        }
    ],
}
"""What a workload may have besides."""
EVERYTHING: Json = {
    "nameOverride": "roles",
    "fullnameOverride": "federations",
    "image": {"repository": "example.test/tcf", "tag": "v1", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "pull"}],
    "commonLabels": {"team": "platform"},
    "crds": {"keep": False},
    "operator": {
        "replicas": 3,
        "logFormat": "json",
        **MORE,
        "priorityClassName": "system-cluster-critical",
        "serviceAccount": {"name": "operator", "annotations": {"c": "d"}},
    },
    "workers": {
        "members": [
            {"federation": "orders", "cluster": "Cluster_1", "replicas": 1},
            {"federation": "shop.v2", "cluster": "x" * 63},
        ],
        "service": {
            "type": "LoadBalancer",
            "annotations": {"e": "f"},
            "loadBalancerSourceRanges": ["192.0.2.0/24"],
        },
        **MORE,
        "serviceAccount": {"annotations": {"c": "d"}},
    },
    "remoteMembers": {"members": [{"federation": "shop", "cluster": "cluster_2"}], "tokenSecrets": True},
    "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
    "example": {"enabled": True},
}
SETS: dict[str, Json] = {
    "default": {},
    "example": {"example": {"enabled": True}},
    "everything": EVERYTHING,
    "console": {"console": {"enabled": True}, "networkPolicy": {"enabled": True}},
    "console with HTTPS and users of a provider": {
        "console": {"enabled": True, "port": 9000, "tlsSecretName": "console-tls"},
        "operator": MORE,
        "workers": {
            "auth": {
                "mode": "oauth2",
                "oauth2": {
                    "introspectionURL": "https://provider.example.test/introspect",
                    "clientID": "tcf",
                    "secretName": "provider",
                },
            }
        },
    },
    "one operator": {"operator": {"replicas": 1}},
    "what YAML takes for something else": {
        "fullnameOverride": "on",
        "workers": {
            "members": [{"federation": "1", "cluster": "1_000"}, {"federation": "no", "cluster": "on"}]
        },
        "remoteMembers": {"members": [{"federation": "0x1", "cluster": "0x2"}], "tokenSecrets": True},
    },
    "accounts and rights of others": {
        "rbac": {"create": False},
        "operator": {"serviceAccount": {"create": False, "name": "theirs"}},
        "workers": {
            "serviceAccount": {"create": False, "name": "shared"},
            "members": [{"federation": "shop", "cluster": "cluster_1"}],
        },
    },
    "a user of the platform's choice": {
        "podSecurityContext": {"runAsUser": 1000680000, "fsGroup": 1000680000},
        "securityContext": {"readOnlyRootFilesystem": None},
        "example": {"enabled": True},
    },
    "part of another chart": {"enabled": True, "global": {"a": "b"}},
    "workers of a remote hub": {
        "operator": {"enabled": False},
        "crds": {"install": False},
        "workers": {
            "kubeconfigSecret": {"name": "hub"},
            "drainSeconds": 0,
            "members": [{"federation": "shop", "cluster": "cluster_1", "namespace": "prod"}],
        },
    },
}


# --- values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_lint(chart: Helm, name: str) -> None:
    done = chart.run("lint", "--strict", CHART, values=SETS[name])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replicas": 3}, "'replicas' not allowed"),
        ({"operator": {"replica": 3}}, "'replica' not allowed"),
        ({"image": {"name": "x"}}, "'name' not allowed"),
        ({"workers": {"members": [{"cluster": "a"}]}}, "federation"),
        ({"workers": {"members": [{"federation": "shop", "cluster": "a", "port": 1}]}}, "'port' not allowed"),
        ({"workers": {"members": [{"federation": "Shop", "cluster": "a"}]}}, "/workers/members/0/federation"),
        ({"workers": {"members": [{"federation": "shop", "cluster": "a/b"}]}}, "/workers/members/0/cluster"),
        ({"workers": {"port": 80}}, "/workers/port"),
        ({"workers": {"probePort": 80}}, "/workers/probePort"),
        ({"workers": {"probePort": 8080}}, "workers.probePort and workers.port are the same"),
        ({"workers": {"tls": {"clientCA": True}}}, "/workers/tls/secretName"),
        (
            {"workers": {"tls": {"secretName": "web", "clientCA": True}, "auth": {"mode": "none"}}},
            "workers.tls.clientCA needs workers.auth.mode kubernetes",
        ),
        ({"workers": {"replicas": "two"}}, "/workers/replicas"),
        ({"operator": {"logLevel": "loud"}}, "/operator/logLevel"),
        ({"operator": {"namespaces": "prod"}}, "/operator/namespaces"),
        ({"image": {"digest": "sha256:1"}}, "/image/digest"),
        ({"networkPolicy": {"enabled": True, "from": []}}, "/networkPolicy/from"),
        ({"networkPolicy": {"enabled": True, "from": None}}, "networkPolicy.from is empty"),
        ({"networkPolicy": {"enabled": True, "operatorFrom": None}}, "networkPolicy.operatorFrom is empty"),
        ({"workers": {"serviceAccount": {"create": False}}}, "to the ServiceAccount that exists already"),
        ({"operator": {"serviceAccount": {"create": False}}}, "to the ServiceAccount that exists already"),
        ({"networkPolicy": {"enabled": True, "from": [{}]}}, "/networkPolicy/from/0"),
        ({"networkPolicy": {"enabled": True, "from": [{"podSelector": None}]}}, "/networkPolicy/from/0"),
        ({"workers": {"extraVolumes": [{"name": "hub", "emptyDir": {}}]}}, "/workers/extraVolumes/0/name"),
        ({"operator": {"extraEnv": [{"name": "A", "value": 1}]}}, "/operator/extraEnv/0/value"),
        ({"example": {"enabled": True}, "rbac": {"create": False}}, "example.enabled needs"),
        ({"example": {"enabled": True}, "operator": {"enabled": False}}, "example.enabled needs"),
        *(
            ({name: None}, f"missing property '{name}'")
            for name in (
                "operator",
                "workers",
                "image",
                "crds",
                "admissionPolicies",
                "rbac",
                "console",
                "metrics",
                "networkPolicy",
                "remoteMembers",
            )
        ),
        ({"metrics": {"podMonitor": {"enabled": True, "interval": "soon"}}}, "/metrics/podMonitor/interval"),
        (
            {"metrics": {"podMonitor": {"enabled": True}}, "workers": {"auth": {"reads": True}}},
            "set metrics.podMonitor.workers.authorization",
        ),
        (
            {"metrics": {"podMonitor": {"enabled": True}}, "workers": {"tls": {"secretName": "web"}}},
            "set metrics.podMonitor.workers.tlsConfig",
        ),
        ({"console": {"enabled": True, "port": 8090}}, "choose another port"),
        (
            {"console": {"enabled": True}, "workers": {"auth": {"mode": "none"}}},
            "set it to kubernetes or oauth2",
        ),
        ({"workers": {"port": None}}, "missing property 'port'"),
        ({"operator": {"serviceAccount": None}}, "missing property 'serviceAccount'"),
        ({"workers": {"serviceAccount": {"name": "shared"}}}, "serviceAccount.create to false, too"),
        ({"operator": {"podLabels": {"tcf.dev/cluster": "x"}}}, "invalid propertyName"),
        ({"example": True}, "/example"),
        ({"commonLabels": {"app.kubernetes.io/component": "x"}}, "invalid propertyName"),
        ({"commonLabels": {"tcf.dev/cluster": "x"}}, "invalid propertyName"),
        (
            {"example": {"enabled": True}, "operator": {"namespaces": ["prod"]}},
            "is not in operator.namespaces",
        ),
    ],
    ids=str,
)
def test_wrong_values_are_refused(chart: Helm, values: Json, told: str) -> None:
    assert told in chart.refusal(values)


@pytest.mark.parametrize(
    "pair",
    [
        (("shop", "cluster_1"), ("shop", "cluster-1")),
        (("shop", "A"), ("shop", "a")),
        (("shop", "a-b"), ("shop-a", "b")),
    ],
)
def test_members_whose_objects_would_have_one_name_are_refused(chart: Helm, pair: Any) -> None:
    for values in ({"workers": members(pair)}, {"remoteMembers": members(pair)}):
        told = chart.refusal(values)
        for federation, cluster in pair:
            assert f"{cluster} of {federation} in namespace tcf" in told
        assert "differ in more than that" in told


@pytest.mark.parametrize(
    ("here", "elsewhere"),
    [
        ([("shop", "a"), ("shop", "a-control")], []),
        ([("shop", "a-control"), ("shop", "a")], []),
        ([("remote-shop", "a")], [("shop", "a")]),
    ],
)
def test_so_are_those_that_have_one_object_of_the_same_name(
    chart: Helm, here: list[tuple[str, str]], elsewhere: list[tuple[str, str]]
) -> None:
    told = chart.refusal({"workers": members(here), "remoteMembers": members(elsewhere)})
    assert "would both have an object" in told


def members(pairs: Iterable[tuple[str, str]]) -> Json:
    return {"members": [{"federation": federation, "cluster": cluster} for federation, cluster in pairs]}


def test_every_value_is_explained_and_known_to_the_schema() -> None:
    text = (CHART / "values.yaml").read_text()
    lines = text.splitlines()
    for number, line in enumerate(lines):
        key = re.match(r" *([A-Za-z]+):( \S.*)?$", line)
        if key and line[0] != "#" and key[2] and key[2] != " {}":
            above = list(itertools.takewhile(str.strip, reversed(lines[:number])))
            assert any("#" in each for each in above), f"nothing explains {line}"
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert _known(yaml.safe_load(text), schema) == []


def _known(values: Json, schema: Json, path: str = "") -> list[str]:
    """Values that the schema lacks, and the other way round."""
    known = schema.get("properties", {})
    wrong = [f"{path}/{name}" for name in values.keys() ^ known.keys() if name not in {"global", "enabled"}]
    for name in values.keys() & known.keys():
        if "properties" in known[name]:
            wrong += _known(values[name], known[name], f"{path}/{name}")
    return wrong


# --- what is rendered ---------------------------------------------------------------------------------


def by_kind(documents: list[Json], kind: str) -> dict[str, Json]:
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == kind}


def pods(documents: list[Json]) -> list[Json]:
    """The Pods' specs, of whatever makes them."""
    made = [d["spec"]["template"]["spec"] for d in documents if d["kind"] in {"Deployment", "Job"}]
    return made + [document["spec"] for document in documents if document["kind"] == "Pod"]


def test_no_pod_asks_for_a_user_unless_told_so(chart: Helm) -> None:
    """OpenShift gives each namespace users of its own, and refuses every other."""
    for values, expected in (
        ({"example": {"enabled": True}}, set()),
        (SETS["a user of the platform's choice"], {1000680000}),
    ):
        found = pods(chart.render(values))
        assert len(found) == 5
        users = {
            where.get(key) for pod in found for where in _security(pod) for key in ("runAsUser", "fsGroup")
        }
        assert users - {None} == expected
        assert all(pod["securityContext"]["runAsNonRoot"] for pod in found)


def _security(pod: Json) -> list[Json]:
    return [pod["securityContext"], *(container["securityContext"] for container in pod["containers"])]


def test_what_is_asked_for_besides_is_in_both_workloads(chart: Helm) -> None:
    workloads = by_kind(chart.render(EVERYTHING), "Deployment")
    assert len(workloads) == 5
    for workload in workloads.values():
        template = workload["spec"]["template"]
        (container,) = template["spec"]["containers"]
        assert container["args"][-1] == "--log-format=json"
        assert container["env"] == MORE["extraEnv"]
        assert container["volumeMounts"] == MORE["extraVolumeMounts"]
        assert template["spec"]["volumes"] == MORE["extraVolumes"]
        assert template["spec"]["topologySpreadConstraints"] == MORE["topologySpreadConstraints"]
        assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
        assert "sidecar.istio.io/inject" not in workload["spec"]["selector"]["matchLabels"]


def test_workers_with_tls(chart: Helm) -> None:
    values = {
        "workers": {"tls": {"secretName": "web", "clientCA": True}, "probePort": 8081},
        "example": {"enabled": True},
        "networkPolicy": {"enabled": True},
    }
    documents = chart.render(values)
    name = "tcf-tcf-operator-shop-cluster-1"
    pod = by_kind(documents, "Deployment")[name]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert {
        "--listen=:8080",
        "--probe-listen=:8081",
        "--tls-cert-file=/etc/tcf/tls/tls.crt",
        "--tls-key-file=/etc/tcf/tls/tls.key",
        "--client-ca-file=/etc/tcf/tls/ca.crt",
    } <= set(container["args"])
    assert {"name": "tls", "secret": {"secretName": "web"}} in pod["volumes"]
    assert {"name": "tls", "mountPath": "/etc/tcf/tls", "readOnly": True} in container["volumeMounts"]
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert {(probe["port"], probe["scheme"]) for probe in probes} == {("https", "HTTPS")}
    for service in (name, f"{name}-control"):
        assert by_kind(documents, "Service")[service]["spec"]["ports"] == [
            {"name": "https", "port": 8080, "targetPort": "https", "appProtocol": "https"},
            {"name": "probes", "port": 8081, "targetPort": "probes", "appProtocol": "http"},
        ]
    policy = by_kind(documents, "NetworkPolicy")["tcf-tcf-operator-workers"]
    assert policy["spec"]["ingress"][0]["ports"] == [{"port": "https"}, {"port": "probes"}]
    (ask,) = by_kind(documents, "Pod")["tcf-tcf-operator-test"]["spec"]["containers"]
    assert f"https://{name}:8080/tcf/clusters" in ask["args"]


def test_metrics_are_scraped_where_there_is_no_tls_and_no_token(chart: Helm) -> None:
    metrics: Json = {name: {"enabled": True} for name in ("podMonitor", "prometheusRule", "dashboard")}
    plain = chart.render({"metrics": metrics})
    monitors = by_kind(plain, "PodMonitor")
    assert {name: each["spec"]["podMetricsEndpoints"] for name, each in monitors.items()} == {
        "tcf-tcf-operator": [{"port": "health", "interval": "15s", "honorLabels": True}],
        "tcf-tcf-operator-workers": [
            {"port": "http", "scheme": "http", "interval": "15s", "honorLabels": True}
        ],
    }
    operator = by_kind(plain, "Deployment")["tcf-tcf-operator"]["spec"]["template"]
    labels = operator["metadata"]["labels"]
    assert monitors["tcf-tcf-operator"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    rules = yaml.safe_load((CHART / "files/alerts.yaml").read_text())
    assert by_kind(plain, "PrometheusRule")["tcf-tcf-operator"]["spec"] == rules
    dashboard = by_kind(plain, "ConfigMap")["tcf-tcf-operator-dashboard"]
    assert json.loads(dashboard["data"]["tcf.json"])["title"] == "TCF federations"
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"

    tls = chart.render({"metrics": metrics, "workers": {"tls": {"secretName": "web"}, "probePort": 8081}})
    (endpoint,) = by_kind(tls, "PodMonitor")["tcf-tcf-operator-workers"]["spec"]["podMetricsEndpoints"]
    assert endpoint == {"port": "probes", "interval": "15s", "honorLabels": True}


def test_every_alert_has_a_page(chart: Helm) -> None:
    (group,) = yaml.safe_load((CHART / "files/alerts.yaml").read_text())["groups"]
    for rule in group["rules"]:
        page = ROOT / rule["annotations"]["runbook"]
        assert page.stem == rule["alert"]
        assert page.read_text().startswith(f"# {rule['alert']}\n")


def test_rights_and_accounts_of_others_are_used(chart: Helm) -> None:
    documents = chart.render(SETS["accounts and rights of others"])
    assert {document["kind"] for document in documents} & {"ServiceAccount", "Role", "RoleBinding"} == set()
    assert not [d for d in documents if d["kind"].startswith("ClusterRole")]
    accounts = {
        name: workload["spec"]["template"]["spec"]["serviceAccountName"]
        for name, workload in by_kind(documents, "Deployment").items()
    }
    assert accounts == {"tcf-tcf-operator": "theirs", "tcf-tcf-operator-shop-cluster-1": "shared"}
    named = chart.render(EVERYTHING)
    assert "operator" in by_kind(named, "ServiceAccount")
    binding = by_kind(named, "ClusterRoleBinding")["federations:tcf"]
    assert [subject["name"] for subject in binding["subjects"]] == ["operator"]


def test_the_same_member_of_two_namespaces_needs_a_release_of_its_own(chart: Helm) -> None:
    pair = [{"federation": "shop", "cluster": "a", "namespace": namespace} for namespace in ("test", "prod")]
    told = chart.refusal({"workers": {"members": [pair[0], pair[0]]}})
    assert "a of shop in namespace test is listed twice" in told
    told = chart.refusal({"workers": {"members": pair}})
    assert "a of shop in namespace test and a of shop in namespace prod would both have an object" in told
    assert "the namespace of the federation is left out" in told
    assert "install one of the two with another release" in told


def test_names_may_have_another_middle(chart: Helm) -> None:
    assert "tcf-roles" in by_kind(chart.render({"nameOverride": "roles"}), "Deployment")


def test_the_example_needs_no_hook_and_another_image_makes_another_job(chart: Helm) -> None:
    """A hook would be waited for, with a wrong image for minutes, and nothing would say why."""
    names = set()
    for tag in ("a", "b"):
        (job,) = by_kind(chart.render({"example": {"enabled": True}, "image": {"tag": tag}}), "Job").values()
        assert "annotations" not in job["metadata"]
        names.add(job["metadata"]["name"])
    assert len(names) == 2


def test_a_chart_fetched_from_git_has_no_links() -> None:
    assert not [path for path in CHART.rglob("*") if path.is_symlink()]


def test_who_may_view_or_edit_may_do_so_with_federations(chart: Helm) -> None:
    roles = by_kind(chart.render({}), "ClusterRole")
    for name, verbs in (
        ("view", ["get", "list", "watch"]),
        ("edit", ["create", "update", "patch", "delete", "deletecollection"]),
    ):
        role = roles[f"tcf-tcf-operator:tcf:{name}"]
        assert role["metadata"]["labels"][f"rbac.authorization.k8s.io/aggregate-to-{name}"] == "true"
        (rule,) = role["rules"]
        assert (rule["resources"], rule["verbs"]) == (["clusterfederations"], verbs)


def test_a_release_may_have_dots_in_its_name(chart: Helm) -> None:
    done = chart.run("template", "team.a", CHART, "--show-only", "templates/operator.yaml")
    assert 'name: "team-a-tcf-operator"' in done.stdout


def test_what_members_elsewhere_rely_on_stays(chart: Helm) -> None:
    """Their tokens end with the ServiceAccount, and nobody there can get another by himself."""
    for document in chart.render(EVERYTHING, "--show-only", "templates/remote-members.yaml"):
        kept = document["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
        assert kept == (document["kind"] in {"ServiceAccount", "Secret"})


def test_the_crd_is_the_projects_own(chart: Helm) -> None:
    (crd,) = by_kind(chart.render({}), "CustomResourceDefinition").values()
    own = yaml.safe_load((ROOT / "crds" / "clusterfederations.tcf.dev.yaml").read_text())
    assert crd["spec"] == own["spec"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert not [d for d in chart.render({"crds": {"install": False}}) if "CustomResource" in d["kind"]]


def test_the_admission_policies_are_the_projects_own_and_come_with_the_crd(chart: Helm) -> None:
    rendered = chart.render({}, "--show-only", "templates/admission-policies.yaml")
    for document in rendered:
        assert document["metadata"].pop("labels")["app.kubernetes.io/part-of"] == "tcf-operator"
    assert sorted(rendered, key=_kind_and_name) == sorted(policies(), key=_kind_and_name)
    for values in ({"crds": {"install": False}}, {"admissionPolicies": {"enabled": False}}):
        assert not [d for d in chart.render(values) if d["kind"].startswith("ValidatingAdmission")]


def _kind_and_name(document: Json) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


@pytest.mark.parametrize("may_force", [False, True])
def test_workers_everywhere_may_force_only_if_the_chart_says_so(chart: Helm, *, may_force: bool) -> None:
    there = members([("shop", "cluster_2")])
    here = members([("shop", "cluster_1")])
    documents = chart.render({"workers": {**here, "mayForce": may_force}, "remoteMembers": there})
    roles = [role for name, role in by_kind(documents, "Role").items() if "shop" in name]
    assert len(roles) == 2
    for role in roles:
        forced = [rule for rule in role["rules"] if "clusterfederations/force" in rule["resources"]]
        assert [(rule["resourceNames"], rule["verbs"]) for rule in forced] == [
            (["shop"], ["create"])
        ] * may_force


def test_workers_have_time_for_the_holders_when_they_stop(chart: Helm) -> None:
    """They wait up to 20 s for them, after the seconds in which they go on answering."""
    values = {"workers": {**members([("shop", "cluster_1")]), "drainSeconds": 7}}
    worker = by_kind(chart.render(values), "Deployment")["tcf-tcf-operator-shop-cluster-1"]
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 7 + 25


def test_a_package_holds_all_it_needs(chart: Helm, tmp_path: Path) -> None:
    done = chart.run("package", CHART, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as files:
        assert not [file.name for file in files if file.issym()]
    assert chart.render(EVERYTHING, chart=package) == chart.render(EVERYTHING)


def test_the_chart_the_program_the_examples_and_the_docs_have_one_version() -> None:
    found = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found
    version = found[1]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == version
    for path in (ROOT / "examples").glob("*/kustomization.yaml"):
        assert f"newTag: {version}}}" in path.read_text()
    for path in (ROOT / "README.md", ROOT / "docs/install.md"):
        tags = re.findall(r"tcf-operator:([0-9]\S+)", path.read_text())
        assert set(tags) == {version}, path


def test_notes_say_what_to_do_and_what_to_mind(chart: Helm) -> None:
    def notes(values: Json) -> str:
        return chart.run("install", "tcf", CHART, "--dry-run=client", values=values).stdout.split("NOTES:")[1]

    command, manifest = notes({"operator": {"namespaces": ["prod"]}}).split("<<'EOF'\n")
    assert command.rstrip().endswith("kubectl -n prod apply -f -")
    assert yaml.safe_load(manifest.split("\nEOF\n")[0])["kind"] == "ClusterFederation"
    assert manifest.count("workers.members[1].namespace=prod") == 1
    assert "Admission policies are in effect" in notes({})
    assert "Admission policies" not in notes({"admissionPolicies": {"enabled": False}})
    worker = {"members": [{"federation": "shop", "cluster": "cluster_1"}]}
    assert "port-forward service/tcf-tcf-operator-shop-cluster-1-control" in notes({"workers": worker})
    assert "kubectl tcf kubeconfig --namespace default federations-remote-shop-cluster-2" in notes(EVERYTHING)
    assert "bound to the Role tcf-tcf-operator-holder" in notes({"workers": worker})
    provider = {"introspectionURL": "https://idp.example.test/", "clientID": "tcf", "secretName": "tcf"}
    by_provider = {**worker, "auth": {"mode": "oauth2", "oauth2": provider}}
    assert "the role TCF_HOLD" in notes({"workers": by_provider})
    assert "port-forward service/tcf-tcf-operator 8091\n" in notes(SETS["console"])
    for values in SETS.values():
        assert "POST without a token" not in notes(values)  # that is for upgrades: see the e2e tests
        workers = {**values.get("workers", {}), "auth": {"mode": "none"}}
        open_doors = "workers.auth.mode is none" in notes(
            {**values, "workers": workers, "console": {"enabled": False}}
        )
        has_members = bool(values.get("workers", {}).get("members") or "remoteMembers" in values)
        assert open_doors == (has_members or bool(values.get("example")))


@pytest.mark.parametrize("name", [*SETS, "namespaced"])
def test_the_api_server_takes_it(
    chart: Helm, hub: HubNamespace, kubectl: Kubectl, tmp_path: Path, name: str
) -> None:
    """As a server-side dry run, in a namespace that enforces the restricted Pod Security Standard."""
    kubectl("label", "namespace", hub.namespace, "pod-security.kubernetes.io/enforce=restricted")
    values = SETS.get(name, {"operator": {"namespaces": [hub.namespace]}})
    values = json.loads(json.dumps(values).replace('"prod"', json.dumps(hub.namespace)))
    documents = chart.render(values, namespace=hub.namespace)
    pods = [_pod(d) for d in documents if d["kind"] in {"Deployment", "Job"}]
    assert pods
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all([*documents, *pods]))
    done = kubectl("create", "--dry-run=server", "-f", str(tmp_path / "all.yaml"), check=False)
    errors = [line for line in done.stderr.splitlines() if "AlreadyExists" not in line]  # the CRD
    assert errors == []
    for document in documents:
        assert document["metadata"]["labels"]["app.kubernetes.io/part-of"] == "tcf-operator"
        for rule in document.get("rules", ()):
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}


def _pod(workload: Json) -> Json:
    """A Pod as the workload's controller would make it."""
    template = workload["spec"]["template"]
    metadata = {**template["metadata"], **{n: workload["metadata"][n] for n in ("name", "namespace")}}
    spec = {**template["spec"], "priorityClassName": ""}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


# --- rights: enough, and no more ----------------------------------------------------------------------


FEDERATIONS, STATUS, LEASES = "clusterfederations", "clusterfederations/status", "leases"
THE_HEARTBEAT = f"leases {HEARTBEAT}"
ROLES, WORKER, MEMBER, SWITCHOVER = (
    f"clusterfederations/{right}" for right in ("roles", "worker", "member", "switchover")
)
"""No API serves these: the admission policies ask for them. WORKER only keeps a worker from other Leases."""
ACCESS_REVIEWS = "localsubjectaccessreviews"
RIGHTS: dict[str, dict[str, tuple[str, ...]]] = {
    "operator": {
        FEDERATIONS: ("get", "list", "watch", "patch"),
        STATUS: ("update",),
        ROLES: ("update",),
        LEASES: ("list", "watch", "delete", "create"),
        THE_HEARTBEAT: ("patch",),
        "events": ("create",),
    },
    "cluster_1": {
        FEDERATIONS: ("get", "watch"),
        STATUS: ("update",),
        LEASES: ("create", "get", "patch", "delete"),
        WORKER: ("represent",),
        MEMBER: ("represent",),
        SWITCHOVER: ("create",),
        ACCESS_REVIEWS: ("create",),
    },
    "reviewer": {"tokenreviews": ("create",)},
}


PATCHED = {200, 403}
"""403 if that right was taken away."""
COMPLAINTS = re.compile(r"forbidden|may not watch", re.IGNORECASE)


def scenario(installed: Installed) -> str:
    """Everything that needs a right, as far as it goes; what was complained of."""
    hub = installed.hub
    # A Lease is silent after more than the 3 s after which an operator reads a federation that waits for it.
    hub.apply(leaseDuration="4s", switchoverTimeout="8s")
    operator = installed.operator()
    one, two = (installed.worker(cluster) for cluster in MEMBERS)

    def complaints() -> str:
        told = operator.get("/readyz")
        log = operator.log + one.log + two.log + (told.error if told.status != 200 else "")
        return "\n".join(line for line in log.splitlines() if COMPLAINTS.search(line))

    def reached(what: str, program: TcfProcess, status: int) -> bool:
        """Wait until a worker answers so, or somebody complains."""
        eventually(lambda: program.is_active().status == status or complaints(), what=what)
        return not complaints()

    if not reached("cluster_1 is active", one, 200):
        return complaints()
    two.await_status(418)
    # A Lease that somebody has touched is adopted, after a look at it.
    for lease in hub.leases():
        user = installed.user(lease["metadata"]["labels"]["tcf.dev/cluster"])
        touched = {"metadata": {"annotations": {"touched": "yes"}}}
        assert (
            administrator(hub, user).lease("PATCH", lease["metadata"]["name"], touched, MERGE).code in PATCHED
        )
    by = {"Authorization": f"Bearer {installed.person()}"}
    if (
        ask(one.port, "POST", "/tcf/demote", headers=by).status != 200
        or ask(two.port, "POST", "/tcf/promote", headers=by).status != 200
    ):
        return complaints()
    # Its Lease has to be deleted before anybody else is promoted.
    two.kill()
    ask(one.port, "POST", "/tcf/promote", headers=by)

    def mirrored() -> bool:
        return hub.kubectl("get", "cfed", "shop", "-o", LAST_ACTIVE).stdout.startswith("cluster_1")

    eventually(lambda: mirrored() or complaints(), what="the annotation")
    one.signal(signal.SIGTERM)
    one.process.wait()
    eventually(lambda: "Active" in events(hub) or complaints(), what="the Events")
    heartbeat = ("get", "lease", HEARTBEAT, "--ignore-not-found", "-o", "name")
    eventually(lambda: hub.kubectl(*heartbeat).stdout or complaints(), what="the heartbeat")
    return complaints()


LAST_ACTIVE = "jsonpath={.metadata.annotations.tcf\\.dev/last-active}"


def events(hub: HubNamespace) -> str:
    return hub.kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").stdout


def test_the_chart_gives_the_rights_that_are_needed(
    chart: Helm, confined: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    installed = Installed(chart, confined, programs, tmp_path)
    assert scenario(installed) == ""
    assert [h["outcome"] for h in confined.status()["history"]] == ["Succeeded"] * 4
    assert confined.leases() == []
    for whose, role in installed.roles.items():
        given = {resource: tuple(rule["verbs"]) for rule in role["rules"] for resource in resources(rule)}
        assert given == RIGHTS["cluster_1" if whose in MEMBERS else whose]


@pytest.mark.parametrize(
    "right",
    [
        (whose, what, verb)
        for whose, has in RIGHTS.items()
        for what, verbs in has.items()
        for verb in verbs
        if what != WORKER
    ],
    ids="-".join,
)
def test_and_none_that_is_not(
    chart: Helm, confined: HubNamespace, programs: TcfProcesses, tmp_path: Path, right: Right
) -> None:
    installed = Installed(chart, confined, programs, tmp_path)
    installed.without(right)
    assert scenario(installed) != ""


# --- Roles for people and applications ----------------------------------------------------------------


ALLOWED = {
    "viewer": {"dry run"},
    "switcher": {"dry run", "switch"},
    "holder": {"dry run", "hold"},
    "admin": {"dry run", "switch", "hold"},
}
"""What each Role of the chart allows. (The chart lets no worker force.)"""
REQUESTS = {
    "dry run": ("POST", "/tcf/promote?dry_run=true"),
    "hold": ("PUT", "/tcf/holds/app?for=1s"),
    "switch": ("POST", "/tcf/promote"),
}


def test_what_the_roles_of_the_chart_allow(
    chart: Helm, confined: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    installed = Installed(chart, confined, programs, tmp_path)
    confined.apply()
    installed.operator()
    one = installed.worker("cluster_1")
    one.await_active()
    for role, allowed in ALLOWED.items():
        by = {"Authorization": f"Bearer {installed.person(role)}"}
        answers = {what: ask(one.port, *request, headers=by).status for what, request in REQUESTS.items()}
        assert answers == {what: 200 if what in allowed else 403 for what in REQUESTS}, role


def test_a_holder_may_read_no_more_than_its_federation(chart: Helm) -> None:
    (holder,) = (r for name, r in by_kind(chart.render({}), "Role").items() if name.endswith("-holder"))
    given = {resource: rule["verbs"] for rule in holder["rules"] for resource in resources(rule)}
    assert given == {FEDERATIONS: ["get"], "clusterfederations/holds": ["update"]}


def test_the_console_has_the_rights_that_it_needs(
    chart: Helm, confined: HubNamespace, programs: TcfProcesses, tmp_path: Path
) -> None:
    """It also forces, which the chart's workers may not: the operator moves roles anyway."""
    installed = Installed(chart, confined, programs, tmp_path, console=True)
    confined.apply()
    one, _ = (installed.worker(cluster) for cluster in MEMBERS)
    operator = installed.operator("--console=127.0.0.1:0", "--auth=kubernetes")
    operator.await_ready()
    one.await_active()
    port = operator.port_for("console")

    def promote(role: str, *, force: bool = False) -> int:
        wish = {"namespace": confined.namespace, "federation": "shop", "member": "cluster_2", "force": force}
        headers = {"Authorization": f"Bearer {tokens[role]}", "Content-Type": "application/json"}
        return ask(port, "POST", "/console/promote", json.dumps(wish).encode(), headers).status

    tokens = {role: installed.person(role) for role in ("viewer", "switcher", "admin")}
    assert [promote("viewer"), promote("switcher", force=True)] == [403, 403]
    assert promote("switcher") == 200
    assert confined.status()["activeCluster"] == "cluster_2"
    assert promote("admin", force=True) == 200
