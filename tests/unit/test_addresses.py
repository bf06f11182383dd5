"""Addresses of [Network]: values, and what a machine name and a machine id give."""

from ipaddress import ip_network
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unitgen.addresses import (
    ADDRESSES,
    DEFAULT_POOL,
    GATEWAYS,
    LINK_ADDRESSES,
    PEERS,
    POOLS,
    SERVERS,
    Network,
    derive_prefix,
    list_candidates,
)
from unitgen.errors import BadValue
from unitgen.model import Value
from unitgen.values import Type

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", fullmatch=True)
SMALL_POOLS = ["10.99.0.0/29", "10.99.0.0/28", "10.99.0.8/29", "192.168.9.0/25", "fd99::/125", "fd99::8/125"]
POOLS_OF_ALL_SIZES = [*SMALL_POOLS, DEFAULT_POOL, "10.0.0.0/8", "fd12:3456:789a::/64", "fd00::/16"]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (ADDRESSES, "auto", ("auto",)),
        (ADDRESSES, "10.77.3.4", ("10.77.3.4",)),
        (ADDRESSES, "10.77.3.4/16", ("10.77.3.4/16",)),
        (ADDRESSES, "10.77.3.4/32", ("10.77.3.4/32",)),
        (ADDRESSES, "10.77.3.4/8", ("10.77.3.4/8",)),
        (ADDRESSES, "10.77.3.4/255.255.0.0", ("10.77.3.4/16",)),
        (ADDRESSES, "FD00:0::04/64", ("fd00::4/64",)),
        (ADDRESSES, "fd00::4/16", ("fd00::4/16",)),
        (ADDRESSES, "auto  10.77.3.4\tfd00::4", ("auto", "10.77.3.4", "fd00::4")),
        (ADDRESSES, "203.0.113.5 2001:db8::5", ("203.0.113.5", "2001:db8::5")),
        (GATEWAYS, "10.77.0.1 fd00::1", ("10.77.0.1", "fd00::1")),
        (GATEWAYS, "fd00:0:0::1", ("fd00::1",)),
        (POOLS, "10.77.0.0/16", ("10.77.0.0/16",)),
        (POOLS, "10.99.0.0/29 FD99::/125", ("10.99.0.0/29", "fd99::/125")),
        (POOLS, "10.0.0.0/8 fd00::/16", ("10.0.0.0/8", "fd00::/16")),
        (LINK_ADDRESSES, "10.80.0.1/24 fd80::1/64", ("10.80.0.1/24", "fd80::1/64")),
        (SERVERS, "192.0.2.53 192.0.2.54 2001:DB8::53", ("192.0.2.53", "192.0.2.54", "2001:db8::53")),
        (PEERS, "web db-1.example 10.example", ("web", "db-1.example", "10.example")),
        (PEERS, "192.0.2.1 192.0.2.0/24 0.0.0.0/0", ("192.0.2.1/32", "192.0.2.0/24", "0.0.0.0/0")),
        (PEERS, "2001:db8::1 2001:DB8::/32 ::/0", ("2001:db8::1/128", "2001:db8::/32", "::/0")),
        (PEERS, "fe80::/10 dead.beef", ("fe80::/10", "dead.beef")),
    ],
)
def test_accepted(kind: Type, text: str, expected: Value) -> None:
    assert kind.parse(text) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((ADDRESSES, text) for text in ("10", "10.77.3", "10.77.3.4.5", "10.77.3.4,10.77.3.5", "AUTO")),
        *((ADDRESSES, text) for text in ("0x0a.1.1.1", "10.77.3.٤", "fd00:::1", "[fd00::1]", "fd00::1/129")),
        *((ADDRESSES, text) for text in ("10.77.3.4/-1", "10.77.3.4/ 24", "auto/24", "10.77.3.4/24/24")),
        *((GATEWAYS, text) for text in ("10.77.0.1/16", "auto", "::ffff:10.0.0.1", "fe80::1", "::")),
        *((POOLS, text) for text in ("auto", "10.77.0.0", "fd77::", "10.77.0.0/0", "::/0", "10.77.1.0/16")),
        *((LINK_ADDRESSES, text) for text in ("auto", "10.80.0.1", "10.80.0.1/7", "fe80::1/64", "/24")),
        *((SERVERS, text) for text in ("auto", "127.0.0.1", "::1", "192.0.2.53#dns", "fe80::53", "dns")),
        *((PEERS, text) for text in ("we_b", "web/24", "300.1.1.1", "10", "1.2.3", "192.0.2.1/24", "a:b")),
    ],
)
def test_refused(kind: Type, text: str) -> None:
    with pytest.raises(BadValue) as caught:
        kind.parse(text)
    assert str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("pool", ["10.77.1.5/16", "fd77::5/64"])
def test_host_bits_are_pointed_out(pool: str) -> None:
    with pytest.raises(BadValue) as caught:
        POOLS.parse(pool)
    assert caught.value.hint == f"write {ip_network(pool, strict=False)}"


@given(st.text(max_size=40))
def test_nothing_but_bad_value_is_raised(text: str) -> None:
    """Whatever a file holds: another exception would be reported as a fault of unitgen's."""
    for kind in (ADDRESSES, GATEWAYS, POOLS, LINK_ADDRESSES, SERVERS, PEERS):
        try:
            kind.parse(text)
        except BadValue as error:
            assert error.hint


@given(st.text("0123456789abcdef", min_size=32, max_size=32))
def test_prefix_is_unique_local(machine_id: str) -> None:
    """RFC 4193: fd, 40 bits by chance, and here the first of its subnets."""
    prefix = ip_network(derive_prefix(machine_id))
    assert prefix.subnet_of(ip_network("fd00::/8"))  # type: ignore[arg-type]
    assert prefix.prefixlen == 64
    assert int(prefix.network_address) >> 64 & 0xFFFF == 0
    assert POOLS.parse(str(prefix)) == (str(prefix),)


def test_hosts_have_prefixes_of_their_own() -> None:
    assert len({derive_prefix(f"{number:032x}") for number in range(2000)}) == 2000


def test_addresses_do_not_change_from_release_to_release() -> None:
    """Others have them in their firewalls and DNS zones."""
    assert derive_prefix("0123456789abcdef0123456789abcdef") == "fd34:7bba:b164::/64"
    assert str(next(list_candidates("web", ip_network(DEFAULT_POOL)))) == "10.77.20.170"
    assert str(next(list_candidates("web", ip_network("fd12:3456:789a::/64")))) == (
        "fd12:3456:789a:0:1f36:63d9:c6d3:f2c0"
    )


def list_usable(pool: Network) -> set[object]:
    """What a container may have: not the network's address, not its gateway, not a broadcast address."""
    usable = list(pool)[2:]
    return set(usable[:-1] if pool.version == 4 else usable)


@given(NAMES, st.sampled_from(SMALL_POOLS))
def test_candidates_are_all_usable_addresses(name: str, text: str) -> None:
    pool: Network = ip_network(text)
    assert set(list_candidates(name, pool)) == list_usable(pool)


@given(NAMES, st.sampled_from(POOLS_OF_ALL_SIZES))
def test_first_candidates_are_usable(name: str, text: str) -> None:
    pool: Network = ip_network(text)
    spared = {pool[0], pool[1], *([pool[-1]] if pool.version == 4 else [])}
    for candidate in islice(list_candidates(name, pool), 20):
        assert candidate in pool
        assert candidate not in spared


@given(NAMES, st.sampled_from(POOLS_OF_ALL_SIZES))
def test_second_candidate_is_elsewhere(name: str, text: str) -> None:
    """A name that has to give way does not take its neighbour's place, who would have to in turn."""
    pool: Network = ip_network(text)
    found = list(islice(list_candidates(name, pool), 8))
    if pool.num_addresses > 1 << 15:
        assert len(set(found)) > 1
        assert int(found[1]) - int(found[0]) != 1
