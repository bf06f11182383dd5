"""Network modes of systemd.nspawn(5), and the hooks that let traffic through a FORWARD chain that drops."""

import re

import pytest

from tests.boot.inside import leader, run_inside, start, stop, wait_for_payload
from tests.testbed.containers import Container, Containers, unit
from tests.testbed.host import Host, NspawnHost
from unitgen.firewall import name_chain
from unitgen.interfaces import shorten_name

LOOP = "[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n"
LONG = "averyveryverylongname"
LONGER = "a-machine-name-of-more-than-twenty-eight"

SPECS = {
    "hostnet": Container(LOOP + "[Network]\nVirtualEthernet=no\n"),
    "alone": Container(LOOP + "[Network]\nPrivate=yes\n"),
    "linked": Container(LOOP),
    "plugged": Container(LOOP + "[Network]\nBridge=br-lab\n"),
    "zoned": Container(LOOP + "[Network]\nZone=lab\n"),
    LONG: Container(LOOP),
    LONGER: Container("[Container]\nAutostart=no\n" + LOOP + "[Firewall]\nMasquerade=yes\n"),
}


def prepare(host: Host) -> None:
    """A bridge for Bridge=, from boot on, as networkd or ifupdown would make it."""
    host.write(
        "/etc/systemd/system/br-lab.service",
        "[Unit]\nBefore=machines.target network.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        "ExecStart=ip link add br-lab type bridge\n[Install]\nWantedBy=multi-user.target\n",
    )
    host.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    wants = host.tree / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "br-lab.service").symlink_to("../br-lab.service")


def links(host: Host, name: str) -> set[str]:
    """The interfaces that a container sees."""
    output = run_inside(host, name, "ls /sys/class/net")
    return set(output.split())


def test_host_network(host: NspawnHost) -> None:
    """Use case 4."""
    namespace = host.run(["readlink", "/proc/1/ns/net"]).stdout
    assert host.run(["readlink", f"/proc/{leader(host, 'hostnet')}/ns/net"]).stdout == namespace


def test_names_resolve_in_a_program_of_the_host_network(host: NspawnHost) -> None:
    """Use case 15: the host's resolver is the program's, be it PID 2 without any system around it."""
    assert run_inside(host, "hostnet", "cat /etc/resolv.conf") == host.read("/etc/resolv.conf")
    host.write("/run/resolver.py", _RESOLVER)
    host.run("systemd-run --quiet --unit=resolver python3 /run/resolver.py")
    host.wait_until("systemctl is-active resolver")
    enter = f"nsenter --target={leader(host, 'hostnet')} --all --"
    host.wait_until(f"{enter} nslookup web.example.org | grep 192.0.2.7")


# Answers every question with one address: the question back, one answer that points to its name.
_RESOLVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    query, peer = server.recvfrom(512)
    end = query.index(0, 12) + 5
    kind = query[end - 3]
    answer = bytes.fromhex("c00c000100010000003c0004") + bytes((192, 0, 2, 7)) if kind == 1 else b""
    header = query[:2] + b"\\x81\\x80\\0\\1\\0" + (b"\\1" if answer else b"\\0") + bytes(4)
    server.sendto(header + query[12:end] + answer, peer)
"""


def test_private_network_is_loopback_only(host: NspawnHost) -> None:
    assert links(host, "alone") == {"lo"}


def test_veth_by_default(host: NspawnHost) -> None:
    assert links(host, "linked") == {"lo", "host0"}
    host.run(["test", "-e", "/sys/class/net/ve-linked"])


def test_bridge_gets_the_link(host: NspawnHost) -> None:
    """Use cases 6 and 8: the host side of the link is a port of the bridge."""
    assert "vb-plugged" in host.run("ip -oneline link show master br-lab").stdout
    assert links(host, "plugged") == {"lo", "host0"}


def test_zone_makes_its_bridge(host: NspawnHost) -> None:
    assert "vb-zoned" in host.run("ip -oneline link show master vz-lab").stdout


def test_rules_name_the_interface_that_is_really_there(host: NspawnHost) -> None:
    """A name that is too long is cut and hashed by systemd; so it is in the rules."""
    interface = shorten_name(f"ve-{LONG}")
    assert len(interface) == 15
    host.run(["test", "-e", f"/sys/class/net/{interface}"])
    assert f"-i {interface} " in host.run(["iptables", "-S", name_chain(LONG)]).stdout


def rules(host: Host) -> str:
    """All rules of both families, without counters, comments and the time."""
    saved = host.run("iptables-save; ip6tables-save").stdout
    return re.sub(r"\[\d+:\d+\]", "", re.sub(r"^#.*\n", "", saved, flags=re.MULTILINE))


@pytest.fixture
def lan(host: NspawnHost) -> "Lan":
    """A server beyond the host, and a host that forwards nothing unless told."""
    return Lan(host)


class Lan:
    """A network namespace that plays the LAN, with a server on it in both families."""

    def __init__(self, host: NspawnHost) -> None:
        self.host = host
        host.run(_MAKE_LAN, check=True)

    def connect(self, name: str, interface: str = "") -> None:
        """Give a container addresses by hand, as no network manager runs on either side."""
        interface = interface or shorten_name(f"ve-{name}")
        enter = f"nsenter --target={leader(self.host, name)} --net ip"
        self.host.run(
            f"set -e; [ ! -e /sys/class/net/vb-{name} ] || ip link set vb-{name} up;"
            f"ip address replace 10.99.0.1/24 dev {interface}; ip link set {interface} up;"
            f"ip address replace fd99::1/64 dev {interface} nodad;"
            f"{enter} address replace 10.99.0.2/24 dev host0;"
            f"{enter} address replace fd99::2/64 dev host0 nodad; {enter} link set host0 up;"
            f"{enter} route replace default via 10.99.0.1; {enter} -6 route replace default via fd99::1"
        )
        self.host.wait_until(f"{enter} -6 route get fd98::2")

    def answer(self, name: str, address: str) -> str:
        """What the server tells a container; empty if nothing comes through."""
        enter = f"nsenter --target={leader(self.host, name)} --net"
        return self.host.run(f"{enter} nc -d -w 2 {address} 80", check=False).stdout


# Once is enough. The addresses are private and unique-local ones.
_MAKE_LAN = """
set -e
for i in iptables ip6tables; do $i -w -P FORWARD DROP; done
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
[ ! -e /run/netns/lan ] || exit 0
ip netns add lan
ip link add lan0 type veth peer name up0 netns lan
ip address add 10.98.0.1/24 dev lan0
ip address add fd98::1/64 dev lan0 nodad
ip link set lan0 up
ip -n lan link set lo up
ip -n lan address add 10.98.0.2/24 dev up0
ip -n lan address add fd98::2/64 dev up0 nodad
ip -n lan link set up0 up
ip -n lan route add 10.99.0.0/24 via 10.98.0.1
ip -n lan -6 route add fd99::/64 via fd98::1
cat >/run/answer.py <<'EOF'
import socket
server = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    connection, peer = server.accept()
    connection.sendall(f"hello {peer[0]}".encode())
    connection.close()
EOF
systemd-run --quiet --unit=lan-server nsenter --net=/run/netns/lan python3 /run/answer.py
until ip netns exec lan nc -z -w 1 10.98.0.2 80; do sleep 0.1; done
"""

SERVERS = pytest.mark.parametrize("address", ["10.98.0.2", "fd98::2"], ids=["ipv4", "ipv6"])


@SERVERS
def test_guest_reaches_beyond_a_host_that_drops(
    address: str, lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """Use case 9: what people write by hand beside Docker."""
    name = containers.add(Container(LOOP))
    start(host, name)
    lan.connect(name)
    assert lan.answer(name, address).startswith("hello ")


@SERVERS
@pytest.mark.parametrize(
    ("network", "interface"), [("Zone=fwd", "vz-fwd"), ("Bridge=br-lab", "br-lab")], ids=["zone", "bridge"]
)
def test_guest_on_a_bridge_reaches_beyond_too(
    network: str, interface: str, address: str, lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    name = containers.add(Container(f"{LOOP}[Network]\n{network}\n"))
    start(host, name)
    lan.connect(name, interface)
    assert lan.answer(name, address).startswith("hello ")
    host.run(f"ip address flush dev {interface}", check=False)


@SERVERS
def test_without_hooks_the_host_drops(
    address: str, lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """The counter-check: with Forward=no the same connection fails."""
    name = containers.add(Container(LOOP + "[Firewall]\nForward=no\n"))
    start(host, name)
    lan.connect(name)
    assert lan.answer(name, address) == ""


@SERVERS
def test_masquerade_hides_the_guest(
    address: str, lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """The server sees the host's address in place of the guest's."""
    name = containers.add(Container(LOOP + "[Firewall]\nMasquerade=yes\n"))
    start(host, name)
    lan.connect(name)
    seen = {"10.98.0.2": "10.98.0.1", "fd98::2": "fd98::1"}[address]
    assert lan.answer(name, address).removeprefix("hello ").removeprefix("::ffff:") == seen


def test_port_is_that_of_nspawn(lan: Lan, host: NspawnHost, containers: Containers) -> None:
    """From another machine, through a FORWARD chain that lets new connections in."""
    spec = "[Exec]\nProcessTwo=yes\nParameters=httpd -f -p 80 -h /etc\n[Network]\nPort=tcp:18080:80\n"
    name = containers.add(Container(spec))
    start(host, name)
    lan.connect(name)
    ask = "printf 'GET /os-release HTTP/1.0\\r\\n\\r\\n' | ip netns exec lan nc -w 2 10.98.0.1 18080"
    host.run("iptables -w -P FORWARD ACCEPT")
    try:
        host.wait_until(f"{ask} | grep '^ID='")
    finally:
        host.run("iptables -w -P FORWARD DROP")


def test_rules_are_as_before_after_every_kind_of_end(
    lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """Start and stop, a crash, a restart, a reload: no rule twice, none left."""
    del lan
    name = containers.add(
        Container(
            LOOP + "[Firewall]\nMasquerade=yes\n[Service]\nRestart=on-failure\nRestartSec=0\n"
            "[Unit]\nStartLimitIntervalSec=0\n"
        )
    )
    # The tables of nat and mangle stay, empty, once anything was in them.
    start(host, name)
    stop(host, name)
    before = rules(host)
    start(host, name)
    running = rules(host)
    assert (
        running != before and running.count(f"-A FORWARD -j unitgen-{name}\n") == 4
    )  # two tables, two families
    for _ in range(3):
        old = leader(host, name)
        host.run(["kill", "-KILL", old])
        host.wait_until(
            f"leader=$(machinectl show {name} --property=Leader --value) && test $leader != {old}"
        )
        assert rules(host) == running
    old = leader(host, name)
    host.run(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit(name)])
    host.wait_until(f"leader=$(machinectl show {name} --property=Leader --value) && test $leader != {old}")
    wait_for_payload(host, name)
    host.run("systemctl daemon-reload")
    host.run(["systemctl", "restart", unit(name)], timeout=150)
    wait_for_payload(host, name)
    assert rules(host) == running
    stop(host, name)
    assert rules(host) == before


def test_lost_stop_leaves_no_duplicate(lan: Lan, host: NspawnHost, containers: Containers) -> None:
    """Rules that are there already, as after a crash of the host's manager, are not doubled at start."""
    del lan
    name = containers.add(Container(LOOP))
    before = rules(host)
    host.run(
        f"iptables -N unitgen-{name} && iptables -A unitgen-{name} -j DROP"
        f" && iptables -I FORWARD -j unitgen-{name}"
    )
    start(host, name)
    running = host.run(["iptables", "-S"]).stdout
    assert running.count(f"-A FORWARD -j unitgen-{name}\n") == 1
    assert f"-A unitgen-{name} -j DROP" not in running
    stop(host, name)
    assert rules(host) == before


def test_rules_go_with_a_container_whose_spec_broke(
    lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    del lan
    name = containers.add(Container(LOOP))
    before = rules(host)
    start(host, name)
    host.write(f"/etc/unitgen/containers/{name}.ini", LOOP + "Boot=ture\n")
    host.run("systemctl daemon-reload")
    stop(host, name)
    assert rules(host) == before


def test_rules_go_although_the_spec_no_longer_wants_them(
    lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """The stop is that of the new spec, the rules are of the old one."""
    del lan
    name = containers.add(Container(LOOP + "[Firewall]\nMasquerade=yes\n"))
    start(host, name)
    stop(host, name)
    before = rules(host)
    start(host, name)
    host.write(f"/etc/unitgen/containers/{name}.ini", LOOP + "[Network]\nPrivate=no\n")
    host.run("systemctl daemon-reload")
    stop(host, name)
    assert rules(host) == before


def test_long_chain_names_work(lan: Lan, host: NspawnHost) -> None:
    del lan
    before = rules(host)
    start(host, LONGER)
    assert name_chain(LONGER) in rules(host) and len(name_chain(LONGER)) == 28
    stop(host, LONGER)
    assert name_chain(LONGER) not in rules(host)
    assert set(before.splitlines()) <= set(rules(host).splitlines())
