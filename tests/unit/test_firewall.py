"""The firewall of a container: iptables and nft take every rule set, and both are given the same rules."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.specs import find_refused, make_spec, place_all
from unitgen.firewall import PASS, Rule, name_chain, plan_native, plan_policy, plan_ports, read_policy
from unitgen.iptables import format_rules as format_iptables
from unitgen.iptables import name_own
from unitgen.model import Host, Spec
from unitgen.network import is_managed, list_interfaces
from unitgen.network_unit import _merge_lines, plan_network
from unitgen.nft import format_rules as format_nft

LINKS = ("ug-web",)

TABLES = ("raw", "mangle", "nat", "filter")
LONG = "sixty-four-characters-are-the-most-that-a-machine-name-can-be-xx"
NAMES = ["web", "10", "0a.1b-2c", "x" * 12, "x" * 13, "x" * 20, "x" * 21, LONG, "jump", "Drop.Table"]
PEERS = {
    "pear": "[Exec]\nBoot=yes\n",
    "pear-of-a-name-that-is-cut": "[Exec]\nBoot=yes\n",
    "pear-zone": "[Network]\nZone=lan\n",
    "pear-links": "[Network]\nBridge=br-lan_1.100\nVirtualEthernetExtra=ext0@x\n",
    "pear-pod": "[Network]\nShare=pear\n",
}
NATIVE = [
    "Zone=lan",
    "Bridge=br0",
    "VirtualEthernet=yes",
    "VirtualEthernetExtra=12x:lan0\nVirtualEthernetExtra=a.b_c@d-e",
    "MACVLAN=eth0",
    "Private=no",
]
ADDRESSES = [
    "",
    "auto",
    "10.77.3.4 fd99::4/64",
    "192.168.7.10/24",
    "2001:db8::5/64",
    "auto 10.77.255.254/16",
]
ALLOWED = ["192.0.2.0/24", "192.0.2.7", "0.0.0.0/0", "2001:db8::/32", "2001:db8::7", "::/0", *PEERS]
FLAG = st.sampled_from(["", "yes", "no"])


def can_have_namespaces() -> bool:
    """True if rules can be loaded where they hurt nobody."""
    tools = ("unshare", "nft", "iptables-restore", "ip6tables-restore")
    return (
        os.geteuid() == 0
        and all(map(shutil.which, tools))
        and subprocess.run(["unshare", "--net", "true"], check=False).returncode == 0
    )


@st.composite
def make_port(draw: st.DrawFn) -> str:
    protocol = draw(st.sampled_from(["", "tcp:", "udp:", "tcp+udp:"]))
    address = draw(st.sampled_from(["", "", "192.0.2.1:", "127.0.0.1:", "[2001:db8::1]:", "[::1]:"]))
    first = draw(st.integers(1, 65535))
    last = min(65535, first + draw(st.sampled_from([0, 0, 1, 20, 999])))
    host = f"{first}-{last}" if last > first else f"{first}"
    start = draw(st.integers(1, 65535 - (last - first)))
    guest = f":{start}-{start + last - first}" if last > first else f":{start}"
    return f"{protocol}{address}{host}{draw(st.sampled_from(['', guest]))}"


@st.composite
def make_text(draw: st.DrawFn) -> str:
    """A spec with any [Network] and [Firewall] that go together."""
    lines = ["[Network]"]
    managed = draw(st.integers(0, 3)) > 0
    if managed:
        address = draw(st.sampled_from(ADDRESSES))
        lines += [f"Address={address}"] if address else []
        lines += [f"Port={port}" for port in draw(st.lists(make_port(), max_size=4))]
    else:
        lines.append(draw(st.sampled_from(NATIVE)))
    lines.append("[Firewall]")
    keys = ["Forward", "Masquerade", *(["Isolate"] if managed else [])]
    lines += [f"{key}={value}" for key in keys if (value := draw(FLAG))]
    if managed:
        allowed = draw(st.lists(st.sampled_from(ALLOWED), max_size=4, unique=True))
        lines += [f"AllowFrom={' '.join(allowed)}"] if allowed else []
    return "\n".join(lines) + "\n"


def list_lines(name: str, text: str, backend: str) -> list[str]:
    """What the network unit of a container reads, beside others that its firewall may name."""
    text += f"Backend={backend}\n"
    places = place_all({**PEERS, name: text})
    assert find_refused(places) == []
    setup = plan_network(make_spec(name, text), Host(257), places[name])
    lines = [str(line) for line in setup.rules]
    assert not any(set(line) & set("%\\") for line in lines), "nothing had to be escaped"
    return lines


def is_sound(text: str) -> bool:
    try:
        make_spec("web", text)
    except AssertionError:
        return False
    return True


def format_input(lines: list[str], version: str) -> str:
    """For iptables-restore, as packaging/network puts it together."""
    blocks = []
    for table in TABLES:
        own = [
            line.split(" ", 2)[2] for line in lines if line.split()[:2] in ([version, table], ["ip", table])
        ]
        blocks += [f"*{table}", *own, "COMMIT"] if own else []
    return "".join(f"{line}\n" for line in blocks)


def load(command: str, text: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a network namespace of its own, twice over, as a reload would."""
    script = f"set -e; rules=$(cat); for try in 1 2; do printf '%s\\n' \"$rules\" | {command}; done"
    arguments = ["unshare", "--net", "sh", "-c", script]
    return subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=60, check=False)


NEEDS_TOOLS = pytest.mark.skipif(
    not can_have_namespaces(), reason="needs root, unshare, iptables-restore and nft"
)


@NEEDS_TOOLS
@settings(deadline=None, max_examples=60)
@given(st.sampled_from(NAMES), make_text())
def test_iptables_takes_every_rule_set(name: str, text: str) -> None:
    assume(is_sound(text))
    lines = list_lines(name, text, "iptables")
    assert {line.split()[0] for line in lines} <= {"ip", "ipv4", "ipv6"}
    for version, tool in (("ipv4", "iptables-restore"), ("ipv6", "ip6tables-restore")):
        result = load(f"{tool} --noflush", format_input(lines, version))
        assert (result.returncode, result.stderr) == (0, "")


@NEEDS_TOOLS
@settings(deadline=None, max_examples=60)
@given(st.sampled_from(NAMES), make_text())
def test_nft_takes_every_rule_set(name: str, text: str) -> None:
    assume(is_sound(text))
    lines = list_lines(name, text, "nft")
    own = "".join(f"{line.removeprefix('nft ')}\n" for line in lines if line.startswith("nft "))
    result = load("nft -f -", own)
    assert (result.returncode, result.stderr) == (0, "")
    for version, tool in (("ipv4", "iptables-restore"), ("ipv6", "ip6tables-restore")):
        result = load(f"{tool} --noflush", format_input(lines, version))
        assert (result.returncode, result.stderr) == (0, "")


@NEEDS_TOOLS
def test_tools_would_refuse() -> None:
    """Else the two tests above would show nothing."""
    for command, text in (
        ("iptables-restore --noflush", "*filter\n-A nowhere -j ACCEPT\nCOMMIT\n"),
        ("ip6tables-restore --noflush", "*filter\n-A INPUT -s 192.0.2.1 -j ACCEPT\nCOMMIT\n"),
        ("nft -f -", "table ip x {\nchain y {\nip6 saddr ::1 drop\n}\n}\n"),
    ):
        assert load(command, text).returncode != 0


@given(st.lists(st.sampled_from("abcde"), max_size=12), st.lists(st.sampled_from("cdefg"), max_size=12))
def test_merged_lines_are_those_of_both_versions(four: list[str], six: list[str]) -> None:
    """In their order; and the first line that both have is said once."""
    words = [line.split() for line in _merge_lines(four, six)]
    assert [line for who, line in words if who != "ipv6"] == four
    assert [line for who, line in words if who != "ipv4"] == six
    assert any(who == "ip" for who, _ in words) is not set(four).isdisjoint(six)


def plan(text: str, name: str = "web") -> tuple[Spec, dict[int, tuple[Rule, ...]]]:
    places = place_all({**PEERS, name: text})
    assert find_refused(places) == []
    spec = make_spec(name, text)
    if not is_managed(spec):
        rules = tuple(plan_native(spec))
        return spec, dict.fromkeys((4, 6), rules) if rules else {}
    policy, (link,) = read_policy(spec, places[name].friends), list_interfaces(spec)
    return spec, {
        lease.version: (
            *plan_policy(policy, lease.version, lease, link),
            *plan_ports(spec, lease.version, lease),
        )
        for lease in places[name].leases
    }


@given(make_text())
def test_both_backends_say_each_rule_once(text: str) -> None:
    """None is lost, and none is in the wrong chain."""
    assume(is_sound(text))
    _, by_version = plan(text)
    for version, rules in by_version.items():
        chain = name_chain("web")
        lines = list(format_iptables(version, rules, chain, LINKS))
        for kind in dict.fromkeys(rule.chain for rule in rules):
            own = [line for _, line in lines if line.startswith(f"-A {name_own(kind, chain)} ")]
            same = [rule for rule in rules if name_own(rule.chain, chain) == name_own(kind, chain)]
            assert len(own) == len(same)
        frame = ("table ", "delete ", "chain ", "}")
        told = [line for line in format_nft(version, rules, chain, LINKS) if not line.startswith(frame)]
        assert len(told) == sum(rule.chain != PASS for rule in rules)


def list_verdicts(rules: tuple[Rule, ...], **packet: str) -> Iterator[Rule]:
    """The rules of the refusing chain that a new connection between two interfaces meets."""
    for rule in rules:
        if rule.chain != "refuse" or rule.state == "established" or rule.protocol or rule.target:
            continue
        meets = all(
            not getattr(rule, key)
            or getattr(rule, key) == value
            or (getattr(rule, key).endswith("+") and value.startswith(getattr(rule, key)[:-1]))
            for key, value in packet.items()
        )
        if meets and (not rule.state or packet.get("state") == rule.state) and not rule.source:
            yield rule


@pytest.mark.parametrize(
    ("text", "sibling", "published", "straight"),
    [
        ("", "return", "return", "drop"),
        ("Masquerade=no\n", "return", "return", "return"),
        ("Isolate=yes\n", "drop", "return", "drop"),
        ("Isolate=yes\nMasquerade=no\n", "drop", "return", "return"),
        ("AllowFrom=192.0.2.0/24\n", "drop", "drop", "drop"),
        ("AllowFrom=pear\n", "return", "drop", "drop"),
        ("AllowFrom=pear-pod\n", "return", "drop", "drop"),
        ("AllowFrom=pear-zone\n", "drop", "drop", "drop"),
        ("AllowFrom=pear\nIsolate=yes\n", "return", "drop", "drop"),
        ("AllowFrom=192.0.2.0/24\nMasquerade=no\n", "drop", "drop", "drop"),
        ("AllowFrom=pear-zone\nMasquerade=no\n", "drop", "drop", "drop"),
    ],
)
def test_who_may_connect(text: str, sibling: str, published: str, straight: str) -> None:
    """A sibling, a stranger by a published port, and a stranger who has a route to the address."""
    _, by_version = plan(f"[Network]\nPort=80\n[Firewall]\n{text}")
    assert by_version.keys() == {4, 6}
    for rules in by_version.values():
        met = {
            "sibling": next(list_verdicts(rules, input="ug-pear", output="ug-web"), None),
            "published": next(list_verdicts(rules, input="eth0", output="ug-web", state="dnat"), None),
            "straight": next(list_verdicts(rules, input="eth0", output="ug-web"), None),
        }
        verdicts = {who: rule.verdict if rule else "return" for who, rule in met.items()}
        assert verdicts == {"sibling": sibling, "published": published, "straight": straight}


LOCAL = {4: "127.0.0.1", 6: "::1"}


def find_publishing(rules: tuple[Rule, ...], address: str, port: int) -> str:
    """Where a packet to an address of the host goes: to a container, or nowhere else."""
    for rule in rules:
        network = ip_network(rule.destination) if rule.destination else None
        span = rule.ports.host if rule.ports else None
        if (
            rule.chain == "publish"
            and (network is None or ip_address(address) in network)
            and (span is None or span.first <= port <= span.last)
            and rule.protocol in ("", "udp")
        ):
            return rule.to
    return ""


@pytest.mark.parametrize("value", ["udp:53", "udp:1-1000", "udp:50-60:1050-1060"])
def test_published_names_leave_those_of_the_host(value: str) -> None:
    """Port 53 of the gateway is for names of containers, that of 127.0.0.53 the host's own resolver."""
    places = place_all({"web": f"[Network]\nPort={value}\n"})["web"]
    gateways = {6 if ":" in lease.address else 4: lease.gateway for lease in places.leases}
    _, by_version = plan(f"[Network]\nPort={value}\n")
    for version, rules in by_version.items():
        own = next(rule.to for rule in rules if rule.verdict == "dnat")
        assert find_publishing(rules, gateways[version], 53) == ""
        for address in (LOCAL[version], {4: "192.0.2.1", 6: "2001:db8::1"}[version]):
            assert find_publishing(rules, address, 53) == own
    assert find_publishing(by_version[4], "127.0.0.53", 53) == ""


@pytest.mark.parametrize("text", [spec for spec in NATIVE if "=no" not in spec and "MACVLAN" not in spec])
def test_native_container_is_never_refused(text: str) -> None:
    """Its addresses are not known here; its rules only open what others close."""
    _, by_version = plan(f"[Network]\n{text}\n[Firewall]\nMasquerade=yes\n")
    assert by_version[4] == by_version[6]
    assert {rule.verdict for rule in by_version[4]} == {"accept", "mark", "masquerade"}


def test_limits_do_not_depend_on_forward() -> None:
    """Forward=no takes away what is let through, not what is refused."""
    for limit in ("Isolate=yes", "AllowFrom=192.0.2.0/24", "Masquerade=yes"):
        text = f"[Network]\nPort=80\n[Firewall]\n{limit}\n"
        opened, closed = plan(f"{text}Forward=yes\n")[1], plan(f"{text}Forward=no\n")[1]
        for version, rules in opened.items():
            assert closed[version] == tuple(rule for rule in rules if rule.chain != PASS)
