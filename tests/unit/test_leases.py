"""Addresses for all containers together: unique, usable, and the same when others come and go."""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.specs import make_spec
from unitgen.addresses import DEFAULT_POOL, Address, Network, derive_prefix
from unitgen.leases import Award, Refusal, Request, assign_addresses, make_requests
from unitgen.network import Lease

# So few that they meet often in a small pool, and two pairs that meet in the default one.
NAMES = [*"abcdefghijkl", "web-107", "web-158", "web-18", "web-377"]
POOLS = {
    4: ["10.99.0.0/29", "10.99.0.0/28", "10.99.0.8/29", DEFAULT_POOL],
    6: ["fd99::/125", "fd99::8/125", "fd99::/124", derive_prefix("")],
}


@st.composite
def make_texts(draw: st.DrawFn) -> str:
    """A [Network] section: automatic or explicit addresses, of one or both versions, of any pool."""
    pools = [
        draw(st.sampled_from(POOLS[version])) for version in draw(st.sampled_from([(4,), (6,), (4, 6)]))
    ]
    words, gateways = ["auto"], []
    for pool in pools:
        addresses = st.sampled_from([str(ip_network(pool)[number]) for number in range(8)])
        if draw(st.booleans()):
            words.append(draw(addresses) + draw(st.sampled_from(["", "/28" if ":" not in pool else "/124"])))
        if draw(st.integers(0, 5)) == 5:
            gateways.append(draw(addresses))
    lines = ["[Network]", f"Address={' '.join(words)}", f"Pool={' '.join(pools)}"]
    return "\n".join([*lines, *([f"Gateway={' '.join(gateways)}"] if gateways else [])]) + "\n"


# Half of them say nothing at all, as most containers do.
TEXTS = st.one_of(st.just("[Network]\nPool=10.99.0.0/29 fd99::/125\n"), make_texts())
FLEETS = st.dictionaries(st.sampled_from(NAMES), TEXTS, min_size=1, max_size=len(NAMES))


def request_all(texts: Mapping[str, str]) -> dict[str, tuple[Request, ...]]:
    """What containers with these specs ask for; those that make no sense in themselves ask for nothing."""
    requests = {}
    for name, text in texts.items():
        try:
            requests[name] = make_requests(make_spec(name, text), "")
        except Refusal as refusal:
            assert refusal.problem.code == "bad-address"
            assert refusal.problem.hint
    return requests


def list_leases(awards: Mapping[str, Award]) -> list[Lease]:
    return [lease for award in awards.values() for lease in award.leases]


def find_spared(network: Network) -> set[Address]:
    return {network[0], *([network[-1]] if network.version == 4 else [])}


@given(FLEETS)
def test_addresses_are_unique_and_usable(texts: dict[str, str]) -> None:
    """Nobody's address is somebody else's, or any gateway, and automatic ones are of their pools."""
    requests = request_all(texts)
    awards = assign_addresses(requests)
    leases = list_leases(awards)
    addresses = [ip_address(lease.address) for lease in leases]
    assert len(set(addresses)) == len(addresses)
    assert {lease.address for lease in leases}.isdisjoint(lease.gateway for lease in leases)
    for name, award in awards.items():
        for request in requests[name]:
            for lease in award.leases:
                address = ip_address(lease.address)
                if address.version == request.version and not request.address:
                    assert address in request.network
                    assert address not in find_spared(request.network)
                    assert str(request.gateway) == lease.gateway
                elif address.version == request.version:
                    assert address == request.address


@given(FLEETS)
def test_who_has_no_address_is_told_why(texts: dict[str, str]) -> None:
    """All that was asked for, or an error; and a pool has no free address only if it is full."""
    requests = request_all(texts)
    awards = assign_addresses(requests)
    taken = {ip_address(lease.address) for lease in list_leases(awards)}
    taken |= {request.gateway for wanted in requests.values() for request in wanted}
    assert awards.keys() == requests.keys()
    for name, (leases, problems) in awards.items():
        errors = [problem for problem in problems if problem.is_error]
        assert len(leases) + len(errors) == len(requests[name])
        for problem in problems:
            assert problem.code == "taken"
            assert problem.hint
            assert problem.path.endswith(f"/{name}.ini")
        for error in errors:
            pools = [request.network for request in requests[name] if str(request.network) in error.message]
            if "no free address" in error.message:
                (pool,) = pools
                assert set(pool) - find_spared(pool) - {pool[1]} <= taken


@given(FLEETS, st.randoms())
def test_order_of_input_is_nothing(texts: dict[str, str], random: Random) -> None:
    """Folders list their files as they like."""
    names = list(texts)
    random.shuffle(names)
    expected = assign_addresses(request_all(texts))
    assert assign_addresses(request_all({name: texts[name] for name in names})) == expected


@given(FLEETS, st.sampled_from(NAMES), TEXTS)
def test_one_more_or_less_moves_nobody_else(texts: dict[str, str], name: str, text: str) -> None:
    """But for those of whom it is said, with it or without it, that their address was not free."""
    without = assign_addresses(request_all({other: texts[other] for other in texts if other != name}))
    everybody = assign_addresses(request_all({**texts, name: text}))
    for other, award in without.items():
        if award.leases != everybody[other].leases:
            assert award.problems or everybody[other].problems


@given(st.sets(st.text("abcdefgh", min_size=1, max_size=4), min_size=1, max_size=40), st.data())
def test_default_pool_keeps_everybody(names: set[str], data: st.DataObject) -> None:
    """The common case, automatic addresses in the default pools: nobody moves who has not met anybody."""
    requests = request_all(dict.fromkeys(names, "[Exec]\nBoot=yes\n"))
    leaves = data.draw(st.sampled_from(sorted(names)))
    everybody = assign_addresses(requests)
    without = assign_addresses({name: requests[name] for name in names if name != leaves})
    for name in names - {leaves}:
        assert len(everybody[name].leases) == 2
        assert without[name] == everybody[name] or everybody[name].problems


@pytest.mark.parametrize(
    ("first", "second"), [("web-107", "web-158"), ("web-18", "web-377"), ("web-150", "web-384")]
)
def test_clash_of_names(first: str, second: str) -> None:
    """The first in name order keeps the address, with and without the other; the other is told of it."""
    requests = request_all(dict.fromkeys([second, first], "[Exec]\nBoot=yes\n"))
    together = assign_addresses(requests)
    alone = {name: assign_addresses({name: requests[name]})[name] for name in requests}
    assert alone[first].leases[0] == alone[second].leases[0]
    assert together[first] == alone[first]
    (problem,) = together[second].problems
    assert not problem.is_error
    assert f"belongs to {first}" in problem.message
    assert together[second].leases[0].address in problem.hint
    assert together[second].leases[1] == alone[second].leases[1], "the other IP version is not affected"


@pytest.mark.parametrize("text", ["Address={}", "Gateway={}"])
def test_explicit_address_comes_first(text: str) -> None:
    """Also before that of an earlier name, which can have another."""
    free = assign_addresses(request_all({"a": "[Exec]\nBoot=yes\n"}))["a"].leases[0].address
    fleet = {"a": "[Exec]\nBoot=yes\n", "z": f"[Network]\n{text.format(free)}\n"}
    awards = assign_addresses(request_all(fleet))
    assert free in awards["z"].leases[0]
    assert awards["z"].problems == ()
    assert awards["a"].leases[0].address != free
    assert [problem.severity for problem in awards["a"].problems] == ["warning"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Address=10.77.3.4", [("10.77.3.4", 32, "10.77.0.1")]),
        ("Address=10.77.3.4/16", [("10.77.3.4", 16, "10.77.0.1")]),
        ("Address=10.77.3.4\nGateway=10.77.9.9", [("10.77.3.4", 32, "10.77.9.9")]),
        ("Address=192.168.7.10/24", [("192.168.7.10", 24, "192.168.7.1")]),
        ("Address=192.168.7.10\nGateway=192.168.7.1", [("192.168.7.10", 32, "192.168.7.1")]),
        ("Address=192.168.7.10\nPool=192.168.7.0/24", [("192.168.7.10", 32, "192.168.7.1")]),
        ("Address=2001:db8::5/64", [("2001:db8::5", 64, "2001:db8::1")]),
        ("Address=2001:db8::ffff/112", [("2001:db8::ffff", 112, "2001:db8::1")]),
        (
            "Address=192.168.7.10/24 2001:db8::5/64\nGateway=2001:db8::fe",
            [("192.168.7.10", 24, "192.168.7.1"), ("2001:db8::5", 64, "2001:db8::fe")],
        ),
    ],
)
def test_explicit_address(text: str, expected: list[tuple[str, int, str]]) -> None:
    awards = assign_addresses(request_all({"web": f"[Network]\n{text}\n"}))
    assert list(awards["web"].leases) == expected
    assert awards["web"].problems == ()


def test_host_id_decides_on_the_prefix() -> None:
    """Two hosts may be joined by a tunnel one day, so their containers' networks differ."""
    spec = make_spec("web")
    prefixes = {str(make_requests(spec, machine_id * 32)[1].network) for machine_id in "0123456789abcdef"}
    assert len(prefixes) == 16
