"""Names of interfaces and chains: those that systemd really gives, and those the kernel takes."""

import re

import pytest

from unitgen.errors import BadValue
from unitgen.firewall import name_chain
from unitgen.interfaces import (
    INTERFACE,
    PAIR,
    PAIRS,
    ZONE,
    compute_siphash24,
    compute_tag,
    shorten_name,
)
from unitgen.model import Value
from unitgen.values import Type

# The published test vectors of SipHash-2-4 (vectors.h of its authors): key 00..0f, data 00..n-1.
SIPHASH = [
    (0, 0x726FDB47DD0E0E31),
    (1, 0x74F839C593DC67FD),
    (7, 0xAB0200F58B01D137),
    (8, 0x93F5F5799A932462),
    (15, 0xA129CA6149BE45E5),
    (16, 0x3F2ACC7F57C29BDB),
    (63, 0x958A324CEB064572),
]

MACHINES = [
    "web",
    "a" * 12,
    "a" * 20,
    "a" * 21,
    "a" * 64,
    "a" * 63 + "b",
    "web-server-of-the-first-kind",
    "web-server-of-the-first-king",
    "web-server-of-the-second-kind",
    "x.y.z",
]


@pytest.mark.parametrize(("length", "digest"), SIPHASH)
def test_siphash24(length: int, digest: int) -> None:
    assert compute_siphash24(bytes(range(length)), bytes(range(16))) == digest


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("ve-web", "ve-web"),
        ("ve-twelve-chars", "ve-twelve-chars"),
        ("ve-averyveryverylongname", "ve-averyverUARo"),  # as systemd 247 to 262 have it
    ],
)
def test_shortened_as_systemd_does(name: str, short: str) -> None:
    assert shorten_name(name) == short


@pytest.mark.parametrize("machine", MACHINES)
def test_short_name_fits_the_kernel(machine: str) -> None:
    short = shorten_name(f"ve-{machine}")
    assert len(short) <= 15
    assert short[:11] == f"ve-{machine}"[:11]
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", short)


def test_long_names_stay_apart() -> None:
    """Cut alone, many of them would be one."""
    names = [f"ve-averyverylongname{number}" for number in range(200)]
    assert len({shorten_name(name) for name in names}) == len(names)
    assert all(len(compute_tag(name)) == 4 for name in names)


@pytest.mark.parametrize("machine", MACHINES)
def test_chain_fits_iptables(machine: str) -> None:
    chain = name_chain(machine)
    assert len(chain) <= 28
    assert re.fullmatch(r"unitgen-[A-Za-z0-9_.-]+", chain)


def test_chains_are_unique() -> None:
    """Also those that are cut, and those that look like a cut one."""
    cut = name_chain("a" * 40)
    machines = {
        *MACHINES,
        *(f"averyverylongmachine-{number}" for number in range(200)),
        cut[8:].replace("_", "-"),
    }
    assert len({name_chain(machine) for machine in machines}) == len(machines)


@pytest.mark.parametrize(("machine", "chain"), [("web", "unitgen-web"), ("a" * 20, "unitgen-" + "a" * 20)])
def test_chain_that_fits_is_not_cut(machine: str, chain: str) -> None:
    assert name_chain(machine) == chain


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (INTERFACE, "eth0", "eth0"),
        (INTERFACE, "br-lan_1.100", "br-lan_1.100"),
        (INTERFACE, "x" * 15, "x" * 15),
        (INTERFACE, "eth0@x", "eth0@x"),
        (PAIR, "eth0", "eth0"),
        (PAIR, "eth0:lan", "eth0:lan"),
        (PAIRS, "eth0 eth1:lan", ("eth0", "eth1:lan")),
        (ZONE, "twelve-chars", "twelve-chars"),
    ],
)
def test_accepted(kind: Type, text: str, expected: Value) -> None:
    assert kind.parse(text) == expected


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(
            (INTERFACE, text)
            for text in ("", ".", "..", "all", "default", "12", "x" * 16, "a b", "a/b", "a:b")
        ),
        *((INTERFACE, text) for text in ("a%b", "a$b", "a'b", 'a"b', "a;b", "a\nb", "ä", "a!b", "+")),
        *((PAIR, text) for text in ("", ":", "a:", ":b", "a:b:c", "a:12", f"a:{'x' * 16}")),
        *((PAIRS, text) for text in ("a b:", "'a", "a,b")),
        *((ZONE, text) for text in ("", "thirteen-char", "a b", "a:b")),
    ],
)
def test_refused(kind: Type, text: str) -> None:
    with pytest.raises(BadValue) as caught:
        kind.parse(text)
    assert str(caught.value)
    assert caught.value.hint
