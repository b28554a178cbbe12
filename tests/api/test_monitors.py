"""Grafana's dashboard and Prometheus' alerts: what they ask for is there, and they fire when they should."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import dibs
import promql_parser
import pytest
import yaml
from dibs.api import collector
from dibs.api.cluster_collector import ClusterCollector
from dibs.cluster.seat import Role
from dibs.cluster.view import view_of
from dibs.ledger.terms import Peer, Survey
from dibs.queue.draining import InboxState
from prometheus_client.parser import text_string_to_metric_families

FOLDER = Path(next(iter(dibs.__path__))) / "dashboard"
BOARD = json.loads((FOLDER / "grafana.json").read_text("utf-8"))
RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
ALERTS = {rule["alert"]: rule for rule in RULES}
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*", "$queue": ".*"}


def asked():
    """All expressions, by where they stand; Grafana's variables have a value."""
    found = {f"alert {name}": rule["expr"] for name, rule in ALERTS.items()}
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            found[f"{panel['title']} {target['refId']}"] = expression
    for variable in BOARD["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"].replace("$instance", ".*")
            found[f"variable {variable['name']}"] = re.fullmatch(r"label_values\((.*), \w+\)", query)[1]
    return found


ASKED = asked()


def selectors(node):
    """The selectors of an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "args", "param", "selector", "vector_selector"):
        child = getattr(node, name, None)
        for each in child if isinstance(child, list) else [child]:
            if each is not None and not isinstance(each, str | int | float):
                yield from selectors(each)


@pytest.fixture(scope="module")
def metrics(open_house, tmp_path_factory):
    """The labels of each metric of a server on a disk, by its name."""
    with open_house(data=tmp_path_factory.mktemp("monitored") / "data") as house:
        house.pushed("jobs", 1, 2, 3)
        house.lease("jobs")
        house.ask("POST", "/backup")
        answer = house.ask("GET", "/metrics")
    return {
        sample.name: set(sample.labels) | {"instance", "job"}
        for told in (answer.text, of_a_cluster())
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }


class Inboxes:
    """The metrics of an inbox."""

    def collect(self):
        return collector._inbox(InboxState(1, 2.5))


def of_a_cluster():
    """What one of several servers tells beside the others, with an inbox."""
    peer = Peer("1", "http://a:8000", "1.0", "", 0.0)
    survey = Survey(5, 2, peer.url, 0.1, 60.0, 1, (peer,), None, 0, 0, 0, ())
    seat = SimpleNamespace(survey=lambda: survey, role=Role.OWNER, url=peer.url, takeovers=1)
    front = SimpleNamespace(seat=seat, passing=0)
    return collector.text(ClusterCollector(front, view_of(seat)), Inboxes()).decode()


@pytest.mark.parametrize("place", ASKED)
def test_each_expression_parses_and_asks_for_what_there_is(place, metrics):
    found = list(selectors(promql_parser.parse(ASKED[place])))
    assert found
    for selector in found:
        assert selector.name in metrics
        assert {matcher.name for matcher in selector.matchers.matchers} <= metrics[selector.name]


@pytest.mark.parametrize("place", ASKED)
def test_no_label_is_told_or_summed_up_that_there_is_not(place, metrics):
    expression = ASKED[place]
    names = {selector.name for selector in selectors(promql_parser.parse(expression))}
    there = set.union(*(metrics[name] for name in names))
    summed = re.findall(r"\b(?:by|without) \(([^)]*)\)", expression)
    assert {label for labels in summed for label in labels.split(", ")} <= there


def test_what_legends_and_texts_say_is_left_by_their_expressions():
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            told = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            left = re.match(r".*?\bby \(([^)]*)\)", target["expr"])
            assert told <= set(left[1].split(", ") if left else [])
    for rule in RULES:
        assert {"summary", "description"} == set(rule["annotations"])
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_the_dashboard_s_panels_stand_beside_each_other():
    taken = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_the_alerts_that_matter_for_every_server_and_then_for_several():
    assert list(ALERTS) == [
        "DibsSourceFailed",
        "DibsOldestWaiting",
        "DibsDeadGrowing",
        "DibsCommitsSlow",
        "DibsDiskRoom",
        "DibsNotReady",
        "DibsBackupOld",
        "DibsNoOwner",
        "DibsTakeovers",
        "DibsPositionStands",
        "DibsInboxGrows",
        "DibsStandbyMissing",
    ]


Q = 'queue="jobs", instance="a", job="dibs"'
SERVER = 'instance="a", job="dibs"'
FIRES = {
    "DibsSourceFailed": (
        [(f'dibs_queue_state{{{Q}, state="failed"}}', "0x5 1x60")],
        [("4m", 0), ("10m", 1)],
    ),
    "DibsOldestWaiting": (
        [(f"dibs_oldest_waiting_seconds{{{Q}}}", "0+60x60")],
        [("16m", 0), ("25m", 1)],
    ),
    "DibsDeadGrowing": (
        [(f'dibs_items{{{Q}, state="dead"}}', "31x20 32+1x20 52x60")],
        [("15m", 0), ("30m", 1), ("75m", 0)],
    ),
    "DibsCommitsSlow": (
        [
            (f'dibs_commit_seconds_bucket{{{SERVER}, le="0.1"}}', "0+100x20 2000x60"),
            (f'dibs_commit_seconds_bucket{{{SERVER}, le="0.2"}}', "0+100x20 2000+100x60"),
            (f'dibs_commit_seconds_bucket{{{SERVER}, le="+Inf"}}', "0+100x20 2000+100x60"),
        ],
        [("19m", 0), ("50m", 1)],
    ),
    "DibsDiskRoom": (
        [(f"dibs_disk_free_bytes{{{SERVER}}}", "9e8x60"), (f"dibs_disk_size_bytes{{{SERVER}}}", "1e12x60")],
        [("2m", 0), ("10m", 1)],
    ),
    "DibsDiskRoom, soon": (
        [
            (f"dibs_disk_free_bytes{{{SERVER}}}", "1e11-6e7x600"),
            (f"dibs_disk_size_bytes{{{SERVER}}}", "4e11x600"),
        ],
        [("2m", 0), ("5h", 0), ("9h", 1)],
    ),
    "DibsNotReady": ([(f"dibs_ready{{{SERVER}}}", "1x5 0x60")], [("7m", 0), ("10m", 1)]),
    "DibsBackupOld": (
        [(f"dibs_backup_last_success_timestamp_seconds{{{SERVER}}}", "0x2000")],
        [("26h", 0), ("27h", 1)],
    ),
    "DibsNoOwner": (
        [
            ('dibs_role{role="owner", instance="a", job="dibs"}', "1x5 0x60"),
            ('dibs_role{role="owner", instance="b", job="dibs"}', "0x20 1x60"),
        ],
        [("5m", 0), ("10m", 1), ("22m", 0)],
    ),
    "DibsTakeovers": (
        [(f"dibs_term{{{SERVER}}}", "7x10 10x30 11x5 12x60")],
        [("30m", 0), ("38m", 0), ("47m", 0), ("90m", 0)],
    ),
    "DibsTakeovers, many": (
        [(f"dibs_term{{{SERVER}}}", "7x10 8+1x20 28x60")],
        [("12m", 0), ("20m", 1), ("75m", 0)],
    ),
    "DibsPositionStands": (
        [
            (f"dibs_position_age_seconds{{{SERVER}}}", "0.4x10 60+60x20"),
            ('dibs_position_age_seconds{instance="b", job="dibs"}', "0.4x20 60+60x20"),
        ],
        [("15m", 0), ("24m", 1)],
    ),
    "DibsInboxGrows": (
        [(f"dibs_inbox_oldest_seconds{{{SERVER}}}", "0x10 0+60x60")],
        [("13m", 0), ("20m", 1)],
    ),
    "DibsInboxGrows, stopped": (
        [(f"dibs_inbox_stopped_queues{{{SERVER}}}", "0x10 1x60")],
        [("14m", 0), ("20m", 1)],
    ),
    "DibsStandbyMissing": (
        [
            (f"dibs_standbys{{{SERVER}}}", "1x10 0x60"),
            (f"dibs_standbys_needed{{{SERVER}}}", "1x70"),
        ],
        [("9m", 0), ("13m", 1)],
    ),
    "DibsDiskRoom, not soon": (
        [
            (f"dibs_disk_free_bytes{{{SERVER}}}", "1e11-1e6x600"),
            (f"dibs_disk_size_bytes{{{SERVER}}}", "1e12x600"),
        ],
        [("9h", 0)],
    ),
}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's package prometheus brings promtool")
@pytest.mark.parametrize("name", FIRES)
def test_it_fires_when_it_should_and_not_before(name, tmp_path):
    """By Prometheus itself, which counts the firing alerts at these times of planted series."""
    series, moments = FIRES[name]
    alert = name.partition(",")[0]
    test = {
        "rule_files": [str(FOLDER / "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": each, "values": values} for each, values in series],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)',
                        "eval_time": moment,
                        "exp_samples": [{"labels": "{}", "value": firing}],
                    }
                    for moment, firing in moments
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run(
        ["promtool", "test", "rules", file], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr
