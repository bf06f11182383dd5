"""Network modes of systemd.nspawn(5), and the rules that let traffic through a FORWARD chain that drops."""

import re

import pytest

from tests.boot.inside import leader, run_inside, show, start, stop, wait_for_payload
from tests.boot.lan import HOST, MACHINE, Lan, make_lan
from tests.testbed.containers import Container, Containers, unit
from tests.testbed.host import Host, NspawnHost
from unitgen.firewall import name_chain
from unitgen.interfaces import shorten_name

LOOP = "[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n"
VETH = LOOP + "[Network]\nVirtualEthernet=yes\n"
LONG = "averyveryverylongname"
LONGER = "a-machine-name-of-more-than-twenty-eight"

SPECS = {
    "hostnet": Container(LOOP + "[Network]\nVirtualEthernet=no\n"),
    "alone": Container(LOOP + "[Network]\nPrivate=yes\n"),
    "linked": Container(VETH),
    "plugged": Container(LOOP + "[Network]\nBridge=br-lab\n"),
    "zoned": Container(LOOP + "[Network]\nZone=lab\n"),
    LONG: Container(VETH),
    LONGER: Container("[Container]\nAutostart=no\n" + VETH + "[Firewall]\nMasquerade=yes\n"),
}


def prepare(host: Host) -> None:
    """A bridge for Bridge=, from boot on, as networkd or ifupdown would make it."""
    host.write(
        "/etc/systemd/system/br-lab.service",
        "[Unit]\nBefore=machines.target network.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        "ExecStart=ip link add br-lab type bridge\n[Install]\nWantedBy=multi-user.target\n",
    )
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
    host.write("/run/resolver.py", _RESOLVER)
    host.run("systemd-run --quiet --unit=resolver python3 /run/resolver.py")
    host.wait_until("systemctl is-active resolver")
    before = host.read("/etc/resolv.conf")
    host.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    try:
        host.run(["systemctl", "restart", unit("hostnet")])
        wait_for_payload(host, "hostnet")
        assert run_inside(host, "hostnet", "cat /etc/resolv.conf") == "nameserver 127.0.0.1\n"
        enter = f"nsenter --target={leader(host, 'hostnet')} --all --"
        host.wait_until(f"{enter} nslookup web.example.org | grep 192.0.2.7")
    finally:
        host.write("/etc/resolv.conf", before)
        host.run("systemctl stop resolver")


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


def test_veth(host: NspawnHost) -> None:
    assert links(host, "linked") == {"lo", "host0"}
    host.run(["test", "-e", "/sys/class/net/ve-linked"])


def test_bridge_gets_the_link(host: NspawnHost) -> None:
    """Use cases 6 and 8: the host side of the link is a port of the bridge."""
    assert "vb-plugged" in host.run("ip -oneline link show master br-lab").stdout
    assert links(host, "plugged") == {"lo", "host0"}


def test_zone_makes_its_bridge(host: NspawnHost) -> None:
    assert "vb-zoned" in host.run("ip -oneline link show master vz-lab").stdout


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("MACVLAN=nm-one", {"mv-nm-one"}),
        ("IPVLAN=nm-one", {"iv-nm-one"}),
        ("Interface=nm-one", {"nm-one"}),
        ("VirtualEthernetExtra=nm-out:nm-in", {"nm-in"}),
        ("VirtualEthernet=yes\nMACVLAN=nm-one\nMACVLAN=nm-two", {"host0", "mv-nm-one", "mv-nm-two"}),
    ],
    ids=["macvlan", "ipvlan", "interface", "veth-extra", "veth-and-macvlans"],
)
def test_container_has_the_links_of_its_mode(
    network: str, expected: set[str], host: NspawnHost, containers: Containers
) -> None:
    """Use case 7, and the other links of systemd.nspawn(5)."""
    host.run("ip link add nm-one type veth peer name nm-two")
    # systemd-nspawn takes no interface that udev does not know, and the testbed's hosts have no udev.
    note = "mkdir -p /run/udev/data; echo I:1 >/run/udev/data/n$(cat /sys/class/net/$i/ifindex)"
    host.run(f"for i in nm-one nm-two; do {note}; done")
    try:
        if network.startswith("IPVLAN="):
            skip_without_ipvlan(host)
        name = containers.add(Container(f"{LOOP}[Network]\n{network}\n"))
        start(host, name)
        assert links(host, name) == {"lo", *expected}
        stop(host, name)
    finally:
        # An interface that was moved went with the container's namespace, and the other end with it.
        host.run("rm -r /run/udev/data; rmdir /run/udev; ip link delete nm-two", check=False)


def skip_without_ipvlan(host: Host) -> None:
    """Not every kernel has it."""
    probe = host.run("ip link add link nm-one name nm-probe type ipvlan", check=False)
    if "Unknown device type" in probe.stderr:
        pytest.skip("the kernel has no ipvlan")
    host.run("ip link delete nm-probe")


def test_container_joins_a_namespace(host: NspawnHost, containers: Containers) -> None:
    host.run("ip netns add nm-space")
    try:
        spec = LOOP + "PrivateUsers=no\n[Network]\nNamespacePath=/run/netns/nm-space\n"
        name = containers.add(Container(spec))
        start(host, name)
        inode = host.run(["stat", "--format=net:[%i]", "/run/netns/nm-space"]).stdout
        assert host.run(["readlink", f"/proc/{leader(host, name)}/ns/net"]).stdout == inode
        stop(host, name)
    finally:
        host.run("ip netns delete nm-space")


def test_missing_interface_is_an_error_that_says_so(host: NspawnHost, containers: Containers) -> None:
    """A bridge that does not exist: seen where one looks, with the line and what to do."""
    keys = ("Bridge", "MACVLAN", "IPVLAN", "Interface")
    names = [containers.add(Container(f"{LOOP}[Network]\n{key}=nm-none\n")) for key in keys]
    assert host.run(["systemctl", "start", *map(unit, names)], check=False).returncode != 0
    for name in names:
        status = host.run(["systemctl", "status", f"unitgen-network@{name}"], check=False).stdout
        line = f"/etc/unitgen/containers/{name}.ini:5: error: there is no interface nm-none on this host; "
        assert f"{line}make it, or correct [Network] (BridgeAddress= makes the bridge of Bridge=)" in status
        assert show(host, name, "ActiveState")["ActiveState"] == "inactive"


def test_interface_may_come_a_little_later(host: NspawnHost, containers: Containers) -> None:
    """Bridges of networkd or ifupdown are there soon after network.target."""
    name = containers.add(Container(f"{LOOP}[Network]\nBridge=nm-late\n"))
    host.run(
        "systemd-run --quiet --on-active=2 --timer-property=AccuracySec=1ms ip link add nm-late type bridge"
    )
    start(host, name)
    assert links(host, name) == {"lo", "host0"}
    stop(host, name)
    host.run("ip link delete nm-late")


def bridged(address: str) -> Container:
    """A container with an address of its own on a bridge that is made on request."""
    command = f"ip address add {address} dev host0; ip link set host0 up; exec sleep infinity"
    return Container(
        f"[Exec]\nProcessTwo=yes\nParameters=/bin/sh -c '{command}'\n"
        "[Network]\nBridge=nm-made\nBridgeAddress=10.96.0.1/24 fd96::1/64\n"
    )


def test_bridge_is_made_on_request(host: NspawnHost, containers: Containers) -> None:
    """Use case 6: made with its addresses by the first that wants it, and gone after the last."""
    one, two = containers.add(bridged("10.96.0.11/24")), containers.add(bridged("10.96.0.12/24"))
    assert host.run("ip link show nm-made", check=False).returncode != 0
    start(host, one)
    addresses = host.run("ip -oneline address show dev nm-made").stdout
    assert " 10.96.0.1/24 " in addresses and " fd96::1/64 " in addresses
    start(host, two)
    ports = host.run("ip -oneline link show master nm-made").stdout
    assert f"vb-{one}@" in ports and f"vb-{two}@" in ports
    # nspawn sets the host's ends up, and bridges take a moment to forward.
    for name, address in ((one, "10.96.0.1"), (two, "10.96.0.1"), (one, "10.96.0.12")):
        host.wait_until(f"nsenter --target={leader(host, name)} --net busybox ping -c 1 -w 1 {address}")
    stop(host, one)
    assert " 10.96.0.1/24 " in host.run("ip -oneline address show dev nm-made").stdout
    stop(host, two)
    host.wait_until("! ip link show nm-made")


def test_bridge_that_was_there_is_left_alone(host: NspawnHost, containers: Containers) -> None:
    """Neither its addresses nor its life are unitgen's."""
    host.run("ip link add nm-made type bridge; ip address add 10.95.0.1/24 dev nm-made")
    try:
        before = host.run(
            "ip -oneline -4 address show dev nm-made; cat /sys/class/net/nm-made/ifindex"
        ).stdout
        name = containers.add(bridged("10.96.0.11/24"))
        start(host, name)
        assert f"vb-{name}@" in host.run("ip -oneline link show master nm-made").stdout
        stop(host, name)
        host.wait_until("! systemctl is-active unitgen-bridge@nm-made")
        after = host.run(
            "ip -oneline -4 address show dev nm-made; cat /sys/class/net/nm-made/ifindex"
        ).stdout
        assert after == before
    finally:
        host.run("ip link delete nm-made")


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


lan = pytest.fixture(make_lan)
SERVERS = pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])


@SERVERS
def test_guest_reaches_beyond_a_host_that_drops(
    version: int, lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """Use case 9: what people write by hand beside Docker."""
    name = containers.add(Container(VETH))
    start(host, name)
    lan.connect(name)
    assert lan.answer(name, MACHINE[version]).startswith("hello ")


@SERVERS
@pytest.mark.parametrize(
    ("network", "interface"),
    [("Zone=fwd", "vz-fwd"), ("Bridge=br-lab\n[Firewall]\nForward=yes", "br-lab")],
    ids=["zone", "bridge"],
)
def test_guest_on_a_bridge_reaches_beyond_too(
    network: str, interface: str, version: int, lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    name = containers.add(Container(f"{LOOP}[Network]\n{network}\n"))
    start(host, name)
    lan.connect(name, interface)
    assert lan.answer(name, MACHINE[version]).startswith("hello ")
    host.run(f"ip address flush dev {interface}", check=False)


@SERVERS
def test_without_hooks_the_host_drops(
    version: int, lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """The counter-check: with Forward=no the same connection fails."""
    name = containers.add(Container(VETH + "[Firewall]\nForward=no\n"))
    start(host, name)
    lan.connect(name)
    assert lan.answer(name, MACHINE[version]) == ""


@SERVERS
def test_masquerade_hides_the_guest(
    version: int, lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """The server sees the host's address in place of the guest's."""
    name = containers.add(Container(VETH + "[Firewall]\nMasquerade=yes\n"))
    start(host, name)
    lan.connect(name)
    assert lan.answer(name, MACHINE[version]) == f"hello {HOST[version]}"


def test_port_is_that_of_nspawn(lan: Lan, host: NspawnHost, containers: Containers) -> None:
    """From another machine, through a FORWARD chain that drops."""
    spec = "[Exec]\nProcessTwo=yes\nParameters=httpd -f -p 80 -h /etc\n"
    name = containers.add(Container(spec + "[Network]\nVirtualEthernet=yes\nPort=tcp:18080:80\n"))
    start(host, name)
    lan.connect(name)
    ask = "printf 'GET /os-release HTTP/1.0\\r\\n\\r\\n' | ip netns exec lan nc -w 2 10.98.0.1 18080"
    host.wait_until(f"{ask} | grep '^ID='")


def end(host: Host, name: str) -> None:
    """Stop a container, and wait for the end of its network, which systemctl(1) does not."""
    stop(host, name)
    host.wait_until(f"systemctl is-active unitgen-network@{name} | grep -x inactive")


def test_rules_are_as_before_after_every_kind_of_end(
    lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """Start and stop, a crash, a restart, a reload: no rule twice, none left."""
    del lan
    name = containers.add(
        Container(
            VETH + "[Firewall]\nMasquerade=yes\n[Service]\nRestart=on-failure\nRestartSec=0\n"
            "[Unit]\nStartLimitIntervalSec=0\n"
        )
    )
    # The tables of nat and mangle stay, empty, once anything was in them.
    start(host, name)
    end(host, name)
    before = rules(host)
    start(host, name)
    running = rules(host)
    # In two tables and two families: what comes in by the link, and what goes out by it.
    for option in ("-i", "-o"):
        assert running.count(f"-A FORWARD {option} ve-{name} -j unitgen-{name}\n") == 4
    assert running.count(f"-A INPUT -i ve-{name} -j unitgen-{name}\n") == 4
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
    end(host, name)
    assert rules(host) == before


def test_lost_stop_leaves_no_duplicate(lan: Lan, host: NspawnHost, containers: Containers) -> None:
    """Rules that are there already, as after a crash of the host's manager, are not doubled at start."""
    del lan
    name = containers.add(Container(VETH))
    before = rules(host)
    host.run(
        f"iptables -N unitgen-{name} && iptables -A unitgen-{name} -j DROP"
        f" && iptables -I FORWARD -j unitgen-{name}"
    )
    start(host, name)
    running = host.run(["iptables", "-S"]).stdout
    jumps = [line for line in running.splitlines() if line.endswith(f"-j unitgen-{name}")]
    assert sorted(jumps) == [
        f"-A FORWARD -i ve-{name} -j unitgen-{name}",
        f"-A FORWARD -o ve-{name} -j unitgen-{name}",
        f"-A INPUT -i ve-{name} -j unitgen-{name}",
    ]
    assert f"-A unitgen-{name} -j DROP" not in running
    end(host, name)
    assert rules(host) == before


def test_rules_go_with_a_container_whose_spec_broke(
    lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    del lan
    name = containers.add(Container(VETH))
    before = rules(host)
    start(host, name)
    host.write(f"/etc/unitgen/containers/{name}.ini", VETH + "Boot=ture\n")
    host.run("systemctl daemon-reload")
    end(host, name)
    assert rules(host) == before


def test_rules_go_although_the_spec_no_longer_wants_them(
    lan: Lan, host: NspawnHost, containers: Containers
) -> None:
    """The stop is that of the new spec, the rules are of the old one."""
    del lan
    name = containers.add(Container(VETH + "[Firewall]\nMasquerade=yes\n"))
    start(host, name)
    end(host, name)
    before = rules(host)
    start(host, name)
    host.write(f"/etc/unitgen/containers/{name}.ini", LOOP + "[Network]\nPrivate=no\n")
    host.run("systemctl daemon-reload")
    end(host, name)
    assert rules(host) == before


def test_long_chain_names_work(lan: Lan, host: NspawnHost) -> None:
    del lan
    before = rules(host)
    start(host, LONGER)
    assert name_chain(LONGER) in rules(host) and len(name_chain(LONGER)) == 28
    end(host, LONGER)
    assert name_chain(LONGER) not in rules(host)
    assert set(before.splitlines()) <= set(rules(host).splitlines())
