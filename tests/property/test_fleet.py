"""One file that is broken is nobody else's business."""

from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.property.emitted import check_outcome
from tests.property.fleets import BREAKS, FRIENDS, SPECS, list_files
from tests.property.roots import HOST, locate, make_root, run
from unitgen.errors import has_errors
from unitgen.model import File
from unitgen.pipeline import Outcome, run_pipeline

_breaks = st.dictionaries(st.sampled_from(sorted(SPECS)), st.sampled_from(sorted(BREAKS)), min_size=1)


def _run(broken: Mapping[str, str]) -> dict[str, Outcome]:
    files = list_files()
    for name, kind in broken.items():
        files[locate(name)] = BREAKS[kind](files[locate(name)])
    result = run(files)
    assert not has_errors(result.general)
    return {outcome.source.name: outcome for outcome in result.outcomes}


HEALTHY = _run({})


def _list_files(outcomes: Mapping[str, Outcome]) -> dict[str, tuple[File, ...]]:
    return {name: outcome.files for name, outcome in outcomes.items()}


def test_fleet_is_sound() -> None:
    """Nothing in it is broken, and only what each owner says of the others is different without one."""
    assert [outcome.problems for outcome in HEALTHY.values()] == [()] * len(SPECS)
    for outcome in HEALTHY.values():
        assert check_outcome(outcome)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(_breaks)
@example({name: "stray-line" for name in SPECS})
@example({name: "no-text-at-all" for name in SPECS})
@example({"cache": "last-value", "lan": "cut"})
def test_broken_specs_leave_the_others_alone(broken: Mapping[str, str]) -> None:
    """Byte for byte. A broken one has a stub; who names it in Share= or AllowFrom= may differ by design."""
    outcomes = _run(broken)
    named = {friend for name in broken for friend in FRIENDS.get(name, ())}
    for name, outcome in outcomes.items():
        check_outcome(outcome)
        if name in broken:
            assert outcome.state == "broken"
        elif name not in named:
            assert (outcome.files, outcome.problems) == (HEALTHY[name].files, ())


@pytest.mark.parametrize("kind", ["stray-line", "unknown-section", "unknown-key", "refused", "conflict"])
def test_faults_apart_from_the_network_change_nothing_for_friends(kind: str) -> None:
    """What the broken spec says of its network is still known, and those in its pod are as they were."""
    for name, friends in FRIENDS.items():
        outcomes = _run({name: kind})
        for friend in {*friends} - {"pod"}:
            assert (outcomes[friend].files, outcomes[friend].problems) == (HEALTHY[friend].files, ())


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.sets(st.sampled_from(sorted(SPECS)), min_size=1), st.sampled_from([0o666, 0o664, 0o602]))
def test_untrusted_specs_leave_the_others_alone(names: set[str], mode: int) -> None:
    named = {friend for name in names for friend in FRIENDS.get(name, ())}
    with make_root(list_files()) as root:
        for name in names:
            (root / locate(name)).chmod(mode)
        outcomes = {outcome.source.name: outcome for outcome in run_pipeline(str(root), HOST).outcomes}
    for name, outcome in outcomes.items():
        check_outcome(outcome)
        assert (outcome.state == "broken") == (name in names)
        if name not in {*names, *named}:
            assert outcome.files == HEALTHY[name].files


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.sets(st.sampled_from(sorted({*SPECS} - {*FRIENDS})), min_size=1))
def test_containers_that_go_leave_the_others_alone(names: set[str]) -> None:
    """Nobody moves to another address, and no rule changes, but for the names that a pod has."""
    files = list_files()
    for name in names:
        del files[locate(name)]
    outcomes = {outcome.source.name: outcome for outcome in run(files).outcomes}
    assert {*outcomes} == {*SPECS} - names
    for name in outcomes:
        assert outcomes[name].files == HEALTHY[name].files


def test_broken_member_of_a_pod_keeps_its_name() -> None:
    """Its name leads to the network of the pod whether or not it may start again."""
    assert _run({"pod-side": "stray-line"})["pod"].files == HEALTHY["pod"].files


@pytest.mark.parametrize(
    ("network", "friend"),
    [
        ("Private=yes\nVirtualEthernet=ye\n", "[Firewall]\nAllowFrom=db\n"),
        ("Private=yes\nAddress=atuo\n", "[Firewall]\nAllowFrom=db\n"),
        ("Private=yes\nAddress=atuo\n", "[Network]\nShare=db\n"),
    ],
)
def test_typo_in_the_network_breaks_nobody_else(network: str, friend: str) -> None:
    """Whoever names the broken container is sound in itself, and so is not refused."""
    files: dict[str | bytes, bytes] = {
        locate("db"): f"[Network]\n{network}".encode(),
        locate("web"): friend.encode(),
    }
    assert [outcome.state for outcome in run(files).outcomes] == ["broken", "ok"]


def test_address_of_an_unreadable_spec_waits_for_it() -> None:
    """By design: the addresses of these two names meet. It has one unless it says otherwise, and may still
    run with it; so the other keeps its place behind it.
    """
    files: dict[str | bytes, bytes] = {locate("c166"): b"[Exec]\n", locate("c65"): b"[Exec]\n"}
    before = run(files).outcomes[1]
    files[locate("c166")] += b"\n" * 20_001
    assert run(files).outcomes[1] == before


def test_port_of_a_broken_spec_is_free() -> None:
    """By design: a container that does not start holds nothing, so the next in line may have it."""
    files: dict[str | bytes, bytes] = {
        locate("first"): b"[Network]\nPort=80\n",
        locate("second"): b"[Network]\nPort=80\n",
    }
    states = [outcome.state for outcome in run(files).outcomes]
    assert states == ["ok", "broken"]
    files[locate("first")] += b"stray\n"
    assert [outcome.state for outcome in run(files).outcomes] == ["broken", "ok"]
