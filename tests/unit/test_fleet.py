"""What containers may not have in common: the later by name gives way, and nobody else notices it."""

import cProfile
import pstats
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.specs import find_refused, make_spec, place_all
from unitgen import errors
from unitgen.fleet import Member, place_members
from unitgen.model import Host
from unitgen.pipeline import Outcome, run_pipeline
from unitgen.schema import NEWEST_SYSTEMD

FOLDER = "etc/unitgen/containers"
N = "[Network]\n"
DEFAULT = "[Exec]\nBoot=yes\n"

# The spec of the first container, that of the second, and what is wrong with the second.
PAIRS = [
    (f"{N}Port=80\n", f"{N}Port=80\n", "taken"),
    (f"{N}Port=80\n", f"{N}Port=tcp+udp:80\n", "taken"),
    (f"{N}Port=80\n", f"{N}Port=192.0.2.1:80\n", "taken"),
    (f"{N}Port=192.0.2.1:80\n", f"{N}Port=80\n", "taken"),
    (f"{N}Port=192.0.2.1:80\n", f"{N}Port=192.0.2.1:79-81\n", "taken"),
    (f"{N}Port=[2001:db8::1]:80\n", f"{N}Port=[2001:DB8:0::1]:80\n", "taken"),
    (f"{N}Port=1-65535\n", f"{N}Port=65535\n", "taken"),
    (f"{N}VirtualEthernet=yes\nPort=80\n", f"{N}Zone=lan\nPort=80:8080\n", "taken"),
    (f"{N}Port=80\n", f"{N}Port=192.0.2.1:81\nPort=udp:80\n", ""),
    (f"{N}Port=192.0.2.1:80\n", f"{N}Port=192.0.2.2:80\n", ""),
    (f"{N}Port=192.0.2.1:80\n", f"{N}Port=[2001:db8::1]:80\n", ""),
    (f"{N}Port=80-89\n", f"{N}Port=90-99:80-89\n", ""),
    (f"[Container]\nConflicts=b\n{N}Port=80\n", f"{N}Port=80\n", ""),
    (f"{N}Port=80\n", f"[Container]\nConflicts=a\n{N}Port=80\n", ""),
    (f"{N}Port=80\n", f"[Container]\nConflicts=c\n{N}Port=80\n", "taken"),
    (f"{N}Address=10.77.3.4\n", f"{N}Address=10.77.3.4\n", "taken"),
    (f"{N}Address=10.77.3.4\n", f"{N}Address=10.77.3.4/16\n", "taken"),
    (f"{N}Address=fd99::4/64\n", f"{N}Address=auto FD99:0::4/64\n", "taken"),
    (f"{N}Address=192.168.7.10/24\n", f"{N}Address=192.168.7.11/24\n", ""),
    (f"{N}Address=192.168.7.10/24\n", f"{N}Address=192.168.7.1/24\nGateway=192.168.7.2\n", "taken"),
    (f"{N}Address=192.168.7.10/24\n", f"{N}Address=192.168.7.11/24\nGateway=192.168.7.10\n", "taken"),
    (f"{N}Address=192.168.7.1/24\nGateway=192.168.7.2\n", f"{N}Address=192.168.7.11/24\n", "taken"),
    (f"{N}Address=10.77.3.4\n", DEFAULT, ""),
    (DEFAULT, f"{N}Address=10.77.3.4\nGateway=10.77.0.9\n", ""),
    (f"{N}Pool=10.99.0.0/24\n", f"{N}Pool=10.99.0.0/25\n", "taken"),
    (f"{N}Pool=10.99.0.0/24\n", f"{N}Pool=10.0.0.0/8\n", "taken"),
    (f"{N}Pool=fd99::/64\n", f"{N}Pool=fd99::/48\n", "taken"),
    (f"{N}Pool=10.99.0.0/24\n", f"{N}Pool=10.99.0.0/24\n", ""),
    (f"{N}Pool=10.99.0.0/24\n", f"{N}Pool=10.99.1.0/24\n", ""),
    (DEFAULT, f"{N}Address=10.77.3.4/24\nPool=10.78.0.0/16\n", "taken"),
    (DEFAULT, f"{N}Share=a\n", ""),
    (f"{N}Zone=lan\n", f"{N}Share=a\n", "conflict"),
    (DEFAULT, f"{N}Share=nobody\n", "unknown-container"),
    (DEFAULT, "[Firewall]\nAllowFrom=a 192.0.2.0/24\n", ""),
    (f"{N}Zone=lan\n", "[Firewall]\nAllowFrom=a\n", ""),
    (f"{N}Private=no\n", "[Firewall]\nAllowFrom=a\n", "conflict"),
    (f"{N}MACVLAN=eth0\n", "[Firewall]\nAllowFrom=a\n", "conflict"),
    (DEFAULT, "[Firewall]\nAllowFrom=nobody\n", "unknown-container"),
    (
        f"{N}Bridge=br0\nBridgeAddress=10.80.0.1/24\n",
        f"{N}Bridge=br0\nBridgeAddress=10.80.0.2/24\n",
        "taken",
    ),
    (f"{N}Bridge=br0\nBridgeAddress=10.80.0.1/24\n", f"{N}Bridge=br0\n", ""),
    (f"{N}Bridge=br0\n", f"{N}Bridge=br0\nBridgeAddress=10.80.0.1/24\n", ""),
    (f"{N}VirtualEthernetExtra=ext0\n", f"{N}VirtualEthernetExtra=ext0:lan0\n", "taken"),
    (f"{N}VirtualEthernetExtra=ug-b\n", DEFAULT, "taken"),
    (f"{N}VirtualEthernetExtra=ve-b\n", f"{N}VirtualEthernet=yes\n", "taken"),
    (f"{N}Zone=lan\n", f"{N}Zone=lan\n", ""),
    ("[Container]\nAfter=b\n", "[Container]\nAfter=a\n", "circle"),
    ("[Container]\nBefore=b\n", "[Network]\nShare=a\n", ""),
    ("[Container]\nAfter=b\n", "[Network]\nShare=a\n", "circle"),
]


def run(tmp_path: Path, texts: Mapping[str, str], defaults: str = "") -> dict[str, Outcome]:
    """The outcomes of a host with these specs."""
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "unitgen.conf").write_text(defaults)
    for path in folder.iterdir():
        path.unlink()
    for name, text in texts.items():
        (folder / f"{name}.ini").write_text(text)
    result = run_pipeline(str(tmp_path), Host(NEWEST_SYSTEMD))
    return {outcome.source.name: outcome for outcome in result.outcomes}


def list_codes(outcome: Outcome) -> list[str]:
    return [problem.code for problem in outcome.problems if problem.is_error]


@pytest.mark.parametrize(("first", "second", "code"), PAIRS)
def test_second_gives_way(first: str, second: str, code: str, tmp_path: Path) -> None:
    """And what the first one gets is what it gets alone, but for the name of who shares its network."""
    outcomes = run(tmp_path, {"a": first, "b": second})
    assert set(list_codes(outcomes["b"])) == ({code} if code else set())
    assert list_codes(outcomes["a"]) == []
    if "=b\n" not in first and "Share=a" not in second:
        assert outcomes["a"] == run(tmp_path, {"a": first})["a"]


@pytest.mark.parametrize(("first", "second", "code"), [pair for pair in PAIRS if pair[2] == "taken"])
def test_who_gave_way_keeps_nothing(first: str, second: str, code: str, tmp_path: Path) -> None:
    """A third one is as well off as if the second were not there, whatever that had wanted."""
    second += f"{N}Port=4711\n"
    texts = {"a": first, "b": second, "c": f"{N}Port=4711\n"}
    outcomes = run(tmp_path, texts)
    assert set(list_codes(outcomes["b"])) == {code}
    without = run(tmp_path, {"a": first, "c": texts["c"]})
    assert {name: outcomes[name] for name in without} == without


@pytest.mark.parametrize(
    ("first", "third"),
    [(f"{N}Port=80\n", f"{N}Address=10.77.3.4\n"), (f"{N}Port=80\n", f"{N}Address=auto fd99::4/64\n")],
)
def test_address_of_who_gave_way_is_free(first: str, third: str, tmp_path: Path) -> None:
    second = f"{N}Port=80\nAddress=10.77.3.4 fd99::4/64\n"
    outcomes = run(tmp_path, {"a": first, "b": second, "c": third})
    assert list_codes(outcomes["b"]) == ["taken"]
    assert outcomes["c"] == run(tmp_path, {"a": first, "c": third})["c"]


@pytest.mark.parametrize(
    ("texts", "refused"),
    [
        ({"customer-3401-web": DEFAULT, "customer-66-web": DEFAULT}, "customer-66-web"),
        ({"customer-66-web": DEFAULT, "customerT17K": DEFAULT}, "customerT17K"),
        (
            {"customer-web-shop-11469-x": DEFAULT, "customer-web-shop-17288-x": DEFAULT},
            "customer-web-shop-17288-x",
        ),
        (
            {"customer-4094-web": f"{N}VirtualEthernet=yes\n", "customer-6310-web": f"{N}Zone=lan\n"},
            "",
        ),
        (
            dict.fromkeys(("customer-4094-web", "customer-6310-web"), f"{N}VirtualEthernet=yes\n"),
            "customer-6310-web",
        ),
    ],
)
def test_names_that_are_cut_may_meet(texts: dict[str, str], refused: str) -> None:
    """24 bits are not so many that it could be left to chance; these were found in a second."""
    places = place_all(texts)
    assert find_refused(places) == ([refused] if refused else [])
    for problem in places[refused].problems if refused else ():
        assert (problem.code, problem.hint) == ("taken", "rename one of the containers")


def test_pod(tmp_path: Path) -> None:
    """The names of all its members lead to the one address."""
    places = place_all({"web": DEFAULT, "a-side": f"{N}Share=web\n", "z-side": f"{N}Share=web\n"})
    assert find_refused(places) == []
    assert places["web"].names == ("web", "a-side", "z-side")
    assert places["a-side"].leases == places["z-side"].leases == ()


@pytest.mark.parametrize(
    ("text", "interfaces"),
    [
        (DEFAULT, ("ug-peer",)),
        (f"{N}VirtualEthernet=yes\n", ("ve-peer",)),
        (f"{N}Zone=lan\n", ("vz-lan",)),
        (f"{N}Bridge=br0\nVirtualEthernetExtra=ext0:lan0\n", ("br0", "ext0")),
        (f"{N}Share=owner\n", ("ug-owner",)),
    ],
)
def test_interfaces_of_a_friend(text: str, interfaces: tuple[str, ...]) -> None:
    places = place_all({"web": "[Firewall]\nAllowFrom=peer\n", "peer": text, "owner": DEFAULT})
    assert find_refused(places) == []
    assert places["web"].friends == {"peer": interfaces}


@pytest.mark.parametrize("default", ["DNS=192.0.2.53", "Pool=10.99.0.0/24", "Gateway=10.77.0.9"])
@pytest.mark.parametrize(
    "text", [DEFAULT, f"{N}Share=web\n", f"{N}Zone=lan\n", f"{N}Private=no\n", f"{N}Private=yes\n"]
)
def test_default_of_all_containers_hurts_none(text: str, default: str, tmp_path: Path) -> None:
    """unitgen.conf speaks for those that can have it, not against the others."""
    outcomes = run(tmp_path, {"web": DEFAULT, "z": text}, f"{N}{default}\n")
    assert [problem.format() for problem in outcomes["z"].problems] == []


def test_bad_name_takes_nothing(tmp_path: Path) -> None:
    """It is no machine, and may have any bytes that a file name can have."""
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "web.ini").write_text(DEFAULT)
    before = run_pipeline(str(tmp_path), Host(NEWEST_SYSTEMD)).outcomes
    for name in (b"a\xffb", b"we_b", b"a b", b"x" * 65, "\u00e4".encode(), b"web%"):
        (Path(str(folder)) / f"{name.decode(errors='surrogateescape')}.ini").write_text(f"{N}Port=80\n")
    after = run_pipeline(str(tmp_path), Host(NEWEST_SYSTEMD)).outcomes
    assert [outcome for outcome in after if outcome.source.name == "web"] == list(before)
    assert [set(list_codes(outcome)) for outcome in after if outcome.source.name != "web"] == [
        {"bad-name"}
    ] * 6


def test_broken_spec_takes_nothing_but_what_its_name_gives() -> None:
    """Once it is mended, it has its address again, and nobody has to move for it."""
    first, second = make_spec("web-107", f"{N}Port=80\n"), make_spec("web-158", f"{N}Port=80\n")
    places = place_members([Member(first, False), Member(second, True)], "")
    assert not errors.has_errors(places["web-158"].problems)
    assert places["web-158"].leases[0].address == "10.77.25.60"
    whole = place_members([Member(first, True), Member(second._replace(settings={}), True)], "")
    assert whole["web-158"].leases == places["web-158"].leases


def count_calls(texts: Mapping[str, str]) -> int:
    """How many functions are called to place containers, which no slow machine can change."""
    members = [Member(make_spec(*item), True) for item in texts.items()]
    with cProfile.Profile() as profile:
        places = place_members(members, "0123456789abcdef" * 2)
    assert len(places) == len(texts)
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined]


def write_many(kind: str, count: int) -> dict[str, str]:
    names = [f"c{number:05}" for number in range(count)]
    ways = {
        "default": lambda number: DEFAULT,
        "port": lambda number: f"{N}Port={number + 1}\n",
        "explicit": lambda number: f"{N}Address=10.77.{number // 250 + 1}.{number % 250 + 1}\n",
        "networks": lambda number: f"{N}Address=10.{number // 250 + 100}.{number % 250}.5/24\n",
        "friends": lambda number: f"[Firewall]\nAllowFrom={names[number - 1]}\n",
        "chain": lambda number: f"[Container]\nAfter={names[number - 1]}\n" if number else DEFAULT,
        "pods": lambda number: f"{N}Share={names[0]}\n" if number else DEFAULT,
    }
    return {name: ways[kind](number) for number, name in enumerate(names)}


@pytest.mark.parametrize("kind", ["default", "port", "explicit", "networks", "friends", "chain", "pods"])
def test_effort_grows_with_the_number_of_containers_alone(kind: str) -> None:
    """Twice as many are about twice the work, not four times: boot waits for it."""
    few, many = (count_calls(write_many(kind, count)) for count in (250, 500))
    assert many < 2.5 * few


def test_ten_thousand_containers() -> None:
    """Each has two addresses, and each of these is a hash of some hundred calls."""
    assert count_calls(write_many("default", 10_000)) < 10_000 * 1_000


def test_range_of_ports_is_one_thing() -> None:
    """As it is for the kernel; else a spec of a few lines would take all memory at boot."""
    one = count_calls({"a": f"{N}Port=192.0.2.1:80\n", "b": f"{N}Port=192.0.2.2:80\n"})
    all_ports = count_calls({"a": f"{N}Port=192.0.2.1:1-65535\n", "b": f"{N}Port=192.0.2.2:1-65535\n"})
    assert all_ports < 2 * one
