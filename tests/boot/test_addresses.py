"""A network of unitgen's: there before the payload, gone after it, and found by name."""

import ipaddress

import pytest

from tests.boot.inside import (
    CLEAN,
    leader,
    run_inside,
    show,
    start,
    stop,
    wait_for_payload,
    wait_until_booted,
)
from tests.testbed.containers import Container, Containers, spec_path, unit
from tests.testbed.host import Host, NspawnHost
from unitgen.network import name_interface, name_namespace

LOOP = "[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n"
ENDLESS = LOOP + "[Unit]\nStartLimitIntervalSec=0\n"
# What the network is at the very first instruction, before any other program runs.
FIRST = (
    "ip -o address show dev host0 >/first; ip route >>/first; cat /etc/resolv.conf >>/first;"
    ' trap "exit 0" TERM; while :; do sleep 0.1; done'
)
LONGEST = "m" + "a-long-machine-name-" * 3 + "xyz"

SPECS = {
    "booted": Container("[Exec]\nBoot=yes\n", tree="guest"),
    "earliest": Container(f"[Exec]\nBoot=no\nParameters=/bin/sh -c '{FIRST}'\n"),
    "neighbour": Container(f"[Exec]\nProcessTwo=yes\nParameters=/bin/sh -c '{FIRST}'\n"),
    "mapless": Container(
        f"[Exec]\nProcessTwo=yes\nPrivateUsers=no\nParameters=/bin/sh -c '{FIRST}'\n"
        "[Network]\nAddress=auto\n"
    ),
    LONGEST: Container(LOOP),
    "lodger": Container(LOOP + "[Network]\nShare=landlord\n"),
    "landlord": Container(LOOP + "[Container]\nDescription=has the network\n"),
    "resolved": Container("[Container]\nAutostart=no\n[Exec]\nBoot=yes\n", tree="host"),
    **{f"crowd{number}": Container("[Container]\nAutostart=no\n" + LOOP) for number in range(20)},
}


def prepare(host: Host) -> None:
    """No network manager on either side, and a guest whose resolver is systemd-resolved."""
    for tree in (host.tree, host.tree / "var/lib/machines/booted"):
        link = tree / "etc/systemd/system/systemd-networkd.service"
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    guest = host.tree / "var/lib/machines/resolved/etc"
    (guest / "resolv.conf").unlink()
    (guest / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    wants = guest / "systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "systemd-resolved.service").symlink_to("/lib/systemd/system/systemd-resolved.service")


def addresses(host: Host, name: str) -> tuple[str, str]:
    """The IPv4 and the IPv6 address that the container's names file has."""
    lines = host.read(f"/run/unitgen/hosts/{name}").splitlines()
    first, second = (line.split()[0] for line in lines)
    return first, second


def census(host: Host) -> str:
    """All that a container's network could leave behind; rules without counters."""
    return host.run(
        "ip -oneline link | cut -d: -f2 | sort; ip netns | cut -d' ' -f1 | sort;"
        "ip -oneline address | cut -d' ' -f2-7 | grep -v fe80 | sort; ip -4 route show table all | sort;"
        "ip -6 route show table all | grep -vE 'fe80|multicast|anycast' | sort;"
        "(iptables-save; ip6tables-save) | grep -v '^#' | sed 's/\\[.*\\]//'; nft list tables | sort;"
        "cut -d' ' -f2 /proc/mounts | sort; find /run/unitgen -path '*/kept*' -prune -o -print | sort"
    ).stdout


def namespace(host: Host, name: str) -> str:
    """The number of the network namespace that the payload is in; the kernel uses it again later."""
    return host.run(["readlink", f"/proc/{leader(host, name)}/ns/net"]).stdout.strip()


def link(host: Host, name: str) -> str:
    """The number of the host's end of the container's link, which is never used again."""
    return host.read(f"/sys/class/net/{name_interface(name)}/ifindex")


def stop_all(host: Host, *names: str) -> None:
    """Stop containers, and wait until their networks, whose stop systemctl does not wait for, are gone."""
    host.run(["systemctl", "stop", *map(unit, names)], timeout=150)
    for name in names:
        host.wait_until(f"systemctl show --property=ActiveState unitgen-network@{name} | grep inactive")


@pytest.mark.parametrize("name", ["earliest", "neighbour", "mapless"])
def test_network_is_there_at_the_first_instruction(name: str, host: NspawnHost) -> None:
    """Of a command that is PID 1, of one that is PID 2, and without user ids of its own."""
    wait_for_payload(host, name)
    ipv4, ipv6 = addresses(host, name)
    host.wait_until(f"grep -s nameserver /var/lib/machines/{name}/first")
    seen = host.read(f"/var/lib/machines/{name}/first")
    assert f" {ipv4}/32 " in seen and f" {ipv6}/128 " in seen
    assert "default via 10.77.0.1 dev host0" in seen
    assert "nameserver 10.77.0.1\n" in seen
    # Nobody in there tells the host where to send its packets.
    assert host.read(f"/proc/sys/net/ipv6/conf/{name_interface(name)}/accept_ra") == "0\n"
    assert "tentative" not in next(line for line in seen.splitlines() if f" {ipv6}/" in line)


def test_booted_guest_needs_no_network_manager(host: NspawnHost) -> None:
    """Nothing in it has failed, or waits for the network."""
    wait_until_booted(host, "booted")
    ipv4, ipv6 = addresses(host, "booted")
    seen = run_inside(host, "booted", "ip -oneline address show host0; systemctl is-system-running")
    assert ipv4 in seen and ipv6 in seen and seen.endswith("running\n")
    assert ipaddress.ip_address(ipv4) in ipaddress.ip_network("10.77.0.0/16")
    assert ipaddress.ip_address(ipv6).is_private
    assert ipv4 in host.run(["machinectl", "status", "booted"]).stdout


@pytest.mark.parametrize("version", [0, 1], ids=["ipv4", "ipv6"])
def test_siblings_and_host_reach_each_other(version: int, host: NspawnHost) -> None:
    other = addresses(host, "neighbour")[version]
    enter = f"nsenter --net=/run/netns/{name_namespace('neighbour')}"
    host.run(f"systemd-run --quiet --unit=echo{version} {enter} nc -{'46'[version]} -l -k 7777")
    host.wait_until(f"nc -z -w 1 {other} 7777")
    enter = f"nsenter --net=/run/netns/{name_namespace('booted')}"
    host.run(f"{enter} nc -z -w 3 {other} 7777; systemctl stop echo{version}")


def test_privileged_ports_are_free_to_use(host: NspawnHost) -> None:
    """Root of the container is nobody to the host's user namespace, and may listen on port 80."""
    run_inside(host, "earliest", "timeout 1 nc -l -p 80; [ $? != 1 ]")


def test_names_of_the_longest_machine_work(host: NspawnHost) -> None:
    assert len(LONGEST) == 64
    wait_for_payload(host, LONGEST)
    interface = name_interface(LONGEST)
    assert len(interface) == 15
    assert interface in host.run(["iptables", "-S", "-t", "mangle"]).stdout
    # By its address only: DNS has no labels of more than 63 characters.
    run_inside(host, LONGEST, f"ip address show host0 | grep {addresses(host, LONGEST)[0]}")


def test_names_of_siblings_that_come_later(host: NspawnHost, containers: Containers) -> None:
    """A running container finds one that was added after it started, and forgets it when it stops."""
    name = containers.add(Container(LOOP))
    assert "NXDOMAIN" in run_inside(host, "neighbour", f"nslookup {name} 2>&1", check=False)
    start(host, name)
    ipv4, ipv6 = addresses(host, name)
    enter = f"nsenter --target={leader(host, 'neighbour')} --all --"
    host.wait_until(f"{enter} nslookup {name} | grep {ipv4}")
    host.wait_until(f"{enter} nslookup {name} | grep {ipv6}")
    assert ipv4 in run_inside(host, "booted", f"getent ahostsv4 {name}")
    stop(host, name)
    host.wait_until(f"! {enter} nslookup {name} | grep {ipv4}")


def test_host_finds_containers_by_name(host: NspawnHost) -> None:
    """Use case 22: nss-mymachines asks machined, which looks into the namespace."""
    assert addresses(host, "neighbour")[0] in host.run(["getent", "ahostsv4", "neighbour"]).stdout


# Answers every question for an IPv4 address with 192.0.2.7, on the address given.
_RESOLVER = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    query, peer = server.recvfrom(512)
    end = query.index(0, 12) + 5
    found = bytes.fromhex("c00c000100010000003c0004") + bytes((192, 0, 2, 7))
    answer = found if query[end - 3] == 1 else b""
    flags = b"\\x81\\x80\\0\\1\\0" + (b"\\1" if answer else b"\\0") + bytes(4)
    server.sendto(query[:2] + flags + query[12:end] + answer, peer)
"""


@pytest.mark.parametrize("manager", ["plain", "resolved"])
def test_outside_names_by_the_resolver_of_the_host(manager: str, host: NspawnHost) -> None:
    """Whether /etc/resolv.conf names a server or systemd-resolved; it may change while containers run."""
    before = host.read("/etc/resolv.conf")
    host.write("/run/resolver.py", _RESOLVER)
    host.run("systemd-run --quiet --unit=upstream python3 /run/resolver.py 127.0.0.8")
    try:
        if manager == "plain":
            host.write("/etc/resolv.conf", "nameserver 127.0.0.8\n")
        else:
            host.write("/run/systemd/resolved.conf.d/test.conf", "[Resolve]\nDNS=127.0.0.8\nDomains=~.\n")
            host.run("systemctl start systemd-resolved")
            host.write("/etc/resolv.conf", "nameserver 127.0.0.53\n")
        for name in ("neighbour", "booted"):
            enter = f"nsenter --target={leader(host, name)} --all --"
            look = "nslookup" if name == "neighbour" else "getent ahostsv4"
            host.wait_until(f"{enter} {look} web.example.org | grep 192.0.2.7")
    finally:
        host.run("systemctl stop upstream systemd-resolved; rm -rf /run/systemd/resolved.conf.d")
        host.write("/etc/resolv.conf", before)


def test_guest_with_a_resolver_of_its_own(host: NspawnHost) -> None:
    """/etc/resolv.conf is a link into /run, and systemd-resolved in the guest has to know whom to ask."""
    start(host, "resolved")
    wait_until_booted(host, "resolved")
    assert run_inside(host, "resolved", "systemctl is-active systemd-resolved") == "active\n"
    assert addresses(host, "neighbour")[0] in run_inside(host, "resolved", "getent ahostsv4 neighbour")
    assert addresses(host, "neighbour")[0] in run_inside(host, "resolved", "resolvectl query neighbour")
    assert run_inside(host, "resolved", "readlink /etc/resolv.conf").strip().endswith("stub-resolv.conf")
    stop(host, "resolved")


def test_servers_of_its_own(host: NspawnHost, containers: Containers) -> None:
    """DNS= in place of the host's resolver, and ResolvConf= in place of all that."""
    name = containers.add(Container(LOOP + "[Network]\nDNS=192.0.2.1 2001:db8::1\n"))
    start(host, name)
    assert run_inside(host, name, "cat /etc/resolv.conf") == "nameserver 192.0.2.1\nnameserver 2001:db8::1\n"
    other = containers.add(Container(LOOP.replace("[Exec]\n", "[Exec]\nResolvConf=off\n")))
    start(host, other)
    assert "resolv.conf" not in run_inside(host, other, "cat /proc/mounts")


def test_pod_has_one_network(host: NspawnHost) -> None:
    """Share=: the same namespace and address, and a restart of the owner takes the other along."""
    wait_for_payload(host, "lodger")
    assert namespace(host, "lodger") == namespace(host, "landlord")
    assert addresses(host, "landlord")[0] in run_inside(host, "neighbour", "nslookup lodger")
    assert "nameserver 10.77.0.1" in run_inside(host, "lodger", "cat /etc/resolv.conf")
    old = link(host, "landlord")
    host.run(["systemctl", "restart", unit("landlord")], timeout=150)
    for name in ("landlord", "lodger"):
        host.wait_until(f"systemctl is-active {unit(name)}")
        wait_for_payload(host, name)
    assert namespace(host, "lodger") == namespace(host, "landlord")
    assert link(host, "landlord") != old
    stop(host, "landlord")
    assert show(host, "lodger", "ActiveState")["ActiveState"] == "inactive"
    start(host, "lodger")
    assert show(host, "landlord", "ActiveState")["ActiveState"] == "active"


def test_address_gateway_and_prefix_of_its_own(host: NspawnHost, containers: Containers) -> None:
    """Use case 5; a change of the spec takes effect at the next restart, with nothing left of the old."""
    spec = LOOP + "[Network]\nAddress=192.168.70.100/24 fd70::100/64\nGateway=192.168.70.254 fd70::fe\n"
    name = containers.add(Container(spec))
    start(host, name)
    seen = run_inside(host, name, "ip -oneline address show host0; ip route; ip -6 route")
    assert "192.168.70.100/24" in seen and "fd70::100/64" in seen
    assert "default via 192.168.70.254" in seen and "default via fd70::fe" in seen
    assert "192.168.70.254/32" in host.run(["ip", "address", "show", name_interface(name)]).stdout
    host.write(spec_path(name), LOOP + "[Network]\nAddress=192.168.71.1/24\n")
    assert "192.168.71.1 is its gateway" in host.run("unitgen check", check=False).stdout
    host.write(spec_path(name), LOOP + "[Network]\nAddress=192.168.71.2/24\n")
    host.run("systemctl daemon-reload")
    host.run(["systemctl", "restart", unit(name)], timeout=150)
    wait_for_payload(host, name)
    seen = run_inside(host, name, "ip -oneline address show host0; ip route")
    assert "192.168.71.2/24" in seen and "192.168.70" not in seen and "default via 192.168.71.1" in seen
    assert "192.168.70" not in host.run("ip route; iptables-save").stdout


def test_twenty_start_at_once(host: NspawnHost) -> None:
    """None of them loses a rule to another that loads its own at the same time."""
    names = [name for name in SPECS if name.startswith("crowd")]
    before = census(host)
    host.run(["systemctl", "start", *map(unit, names)], timeout=120)
    saved = {tool: host.run([f"{tool}-save"]).stdout for tool in ("iptables", "ip6tables")}
    for name in names:
        for version, tool in enumerate(saved):
            # In filter and mangle, by the link in both directions.
            assert saved[tool].count(f"-A FORWARD -i ug-{name} -j unitgen-{name}\n") == 2
            assert saved[tool].count(f"-A FORWARD -o ug-{name} -j unitgen-{name}\n") == 2
            assert saved[tool].count(f"-A POSTROUTING -j unitgen_{name}\n") == 1
            assert f"-A unitgen_{name} -s {addresses(host, name)[version]}/" in saved[tool]
        run_inside(host, name, "ip route get 10.77.0.1")
    assert len({addresses(host, name) for name in names}) == len(names)
    stop_all(host, *names)
    assert census(host) == before


def test_nothing_is_left_after_a_hundred_times(host: NspawnHost, containers: Containers) -> None:
    """Rules, links, namespaces, addresses, routes, mounts and files, with both backends."""
    names = [
        containers.add(Container(f"{ENDLESS}[Network]\nPort={port}:80\n[Firewall]\nBackend={backend}\n"))
        for port, backend in (("8090", "iptables"), ("8091", "nft"))
    ]
    units = " ".join(map(unit, names))
    host.run(f"systemctl start {units}")
    stop_all(host, *names)
    before = census(host)
    host.run(
        f"for i in $(seq 50); do systemctl start {units} && systemctl stop {units} || exit 1; done",
        timeout=600,
    )
    stop_all(host, *names)
    assert census(host) == before
    for name in names:
        assert show(host, name, "ActiveState", "Result") == CLEAN


def test_new_network_after_a_crash(host: NspawnHost, containers: Containers) -> None:
    """kill -9 of systemd-nspawn: what comes after it has a new namespace and the same address."""
    spec = ENDLESS + "[Service]\nRestart=on-failure\nRestartSec=0\n"
    name = containers.add(Container(spec))
    start(host, name)
    old, ipv4 = leader(host, name), addresses(host, name)
    mark = link(host, name)
    before = census(host)
    host.run(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit(name)])
    host.wait_until(f"leader=$(machinectl show {name} --property=Leader --value) && test $leader != {old}")
    wait_for_payload(host, name)
    assert link(host, name) != mark
    assert addresses(host, name) == ipv4
    assert ipv4[0] in run_inside(host, name, "ip address")
    assert sorted(census(host).splitlines()) == sorted(before.splitlines())


def test_reboot_inside_the_guest(host: NspawnHost) -> None:
    """The service starts again (exit status 133), and the network with it."""
    wait_until_booted(host, "booted")
    old, ipv4 = leader(host, "booted"), addresses(host, "booted")
    run_inside(host, "booted", "systemctl reboot", check=False)
    host.wait_until(
        f"leader=$(machinectl show booted --property=Leader --value) && test $leader != {old}", timeout=60
    )
    wait_until_booted(host, "booted")
    assert addresses(host, "booted") == ipv4
    assert ipv4[0] in run_inside(host, "booted", "ip address")
    enter = f"nsenter --target={leader(host, 'booted')} --all --"
    host.wait_until(f"{enter} getent hosts neighbour")


def test_leftovers_do_not_stop_a_start(host: NspawnHost, containers: Containers) -> None:
    """Of a stop that never ran: a namespace, a link, rules and jumps."""
    name = containers.add(Container(LOOP))
    before = census(host)
    start(host, name)
    dropin = f"/run/systemd/system/unitgen-network@{name}.service.d"
    host.write(f"{dropin}/lost.conf", "[Service]\nExecStopPost=\n")
    host.run("systemctl daemon-reload")
    stop_all(host, name)
    assert name_interface(name) in census(host)
    host.run(f"rm -r {dropin}; systemctl daemon-reload")
    start(host, name)
    assert addresses(host, name)[0] in run_inside(host, name, "ip address")
    assert host.run(["iptables", "-S", "FORWARD"]).stdout.count(f"-j unitgen-{name}\n") == 2
    stop_all(host, name)
    assert census(host) == before


@pytest.mark.parametrize("change", ["broken", "removed", "native"])
def test_all_goes_although_the_spec_has_changed(
    change: str, host: NspawnHost, containers: Containers
) -> None:
    """The stop is that of the new spec, or of none; what is there is of the old one."""
    name = containers.add(Container(LOOP))
    before = census(host)
    start(host, name)
    if change == "removed":
        host.run(["rm", spec_path(name)])
    else:
        text = {"broken": "[Network]\nAddress=nonsense\n", "native": "[Network]\nPrivate=no\n"}[change]
        host.write(spec_path(name), LOOP + text)
    host.run("systemctl daemon-reload")
    assert addresses(host, name)[0] in run_inside(host, name, "ip address")
    stop_all(host, name)
    assert census(host) == before


def test_interface_of_somebody_else_is_left_alone(host: NspawnHost, containers: Containers) -> None:
    name = containers.add(Container(LOOP))
    host.run(f"ip link add {name_interface(name)} type bridge")
    try:
        assert host.run(["systemctl", "start", unit(name)], check=False).returncode
        journal = host.run(["journalctl", "-u", f"unitgen-network@{name}", "--output=cat"]).stdout
        assert f"the interface {name_interface(name)} is there already, and not unitgen's" in journal
        host.run(["test", "-e", f"/sys/class/net/{name_interface(name)}"])
        assert f"unitgen-{name}" not in host.run("iptables-save").stdout
    finally:
        host.run(["ip", "link", "delete", name_interface(name)])


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ("Address=172.20.7.9/24\nGateway=172.20.7.8\n", "172.20.7.9"),
        ("Address=172.20.9.9\nGateway=172.20.7.2\n", "172.20.7.2"),
    ],
    ids=["address", "gateway"],
)
def test_end_of_the_link_inside_a_network_of_the_host(
    spec: str, taken: str, host: NspawnHost, containers: Containers
) -> None:
    """Refused at start, when the host's addresses are known, and by `unitgen check` before that.

    An address of the LAN could not be told from the LAN's, and its router the host would take for itself.
    """
    host.run("ip link add lan7 type bridge; ip address add 172.20.7.1/24 dev lan7; ip link set lan7 up")
    try:
        name = containers.add(Container(f"{LOOP}[Network]\n{spec}"))
        assert host.run(["systemctl", "start", unit(name)], check=False).returncode
        journal = host.run(["journalctl", "-u", f"unitgen-network@{name}", "--output=cat"]).stdout
        assert f"{spec_path(name)}:5: error: the address {taken} is inside a network of this host" in journal
        report = host.run(["unitgen", "check", name], check=False).stdout
        assert f"{taken} is inside 172.20.7.0/24, a network of this host (lan7)" in report
    finally:
        host.run("ip link delete lan7")


def test_default_route_of_the_host_outlives_forwarding(host: NspawnHost, containers: Containers) -> None:
    """A host that has its IPv6 route by router advertisements keeps accepting them (systemd#37029)."""
    name = containers.add(Container(LOOP))
    forwarding = "/proc/sys/net/ipv6/conf/all/forwarding"
    host.run("ip link add ra0 type bridge; ip link set ra0 up")
    host.run("ip -6 route add default via fe80::1 dev ra0 proto ra metric 4096")
    host.run(f"echo 0 >{forwarding}; echo 1 >/proc/sys/net/ipv6/conf/ra0/accept_ra")
    try:
        start(host, name)
        assert host.read(forwarding) == "1\n"
        assert host.read("/proc/sys/net/ipv6/conf/ra0/accept_ra") == "2\n"
    finally:
        host.run("ip link delete ra0")


@pytest.mark.parametrize("change", ["port", "backend", "address", "broken", "removed"])
def test_reload_of_the_rules_after_a_change(change: str, host: NspawnHost, containers: Containers) -> None:
    """A new port is there at once; where the network is that of an older spec, so are the rules."""
    name = containers.add(Container(LOOP + "[Network]\nPort=8101:80\n[Firewall]\nBackend=nft\n"))
    before = census(host)
    start(host, name)
    texts = {
        "port": "[Network]\nPort=8102:80\n[Firewall]\nBackend=nft\n",
        "backend": "[Network]\nPort=8102:80\n[Firewall]\nBackend=iptables\n",
        "address": "[Network]\nAddress=192.168.72.2/24\nPort=8102:80\n",
        "broken": "[Network]\nPort=8102:\n",
    }
    if change == "removed":
        host.run(["rm", spec_path(name)])
    else:
        host.write(spec_path(name), LOOP + texts[change])
    host.run("systemctl daemon-reload")
    host.run(f"nft delete table ip unitgen-{name}")
    host.run(f"systemctl reload unitgen-network@{name}")
    listed = host.run(f"nft list table ip unitgen-{name}; iptables -S -t nat", check=False).stdout
    assert [port for port in ("8101", "8102") if f"dport {port}" in listed] == [
        "8102" if change in ("port", "backend") else "8101"
    ]
    assert ("table ip unitgen" in listed) == (change != "backend")
    assert addresses(host, name)[0] in run_inside(host, name, "ip address")
    stop_all(host, name)
    assert census(host) == before


def test_pod_comes_back_after_a_crash(host: NspawnHost, containers: Containers) -> None:
    """Both containers, when systemd-nspawn of the one that has the network is killed."""
    owner = containers.add(Container(ENDLESS + "[Service]\nRestart=on-failure\nRestartSec=0\n"))
    lodger = containers.add(Container(f"{ENDLESS}[Network]\nShare={owner}\n"))
    start(host, lodger)
    old = leader(host, owner), leader(host, lodger)
    host.run(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit(owner)])
    for name, number in zip((owner, lodger), old, strict=True):
        host.wait_until(
            f"leader=$(machinectl show {name} --property=Leader --value) && test $leader != {number}"
        )
        wait_for_payload(host, name)
    assert namespace(host, owner) == namespace(host, lodger)


@pytest.mark.parametrize("status", [0, 1])
def test_network_goes_when_the_payload_ends(status: int, host: NspawnHost, containers: Containers) -> None:
    """By itself, well or not: nobody has stopped the service."""
    before = census(host)
    name = containers.add(
        Container(f"[Exec]\nProcessTwo=yes\nParameters=/bin/sh -c 'sleep 2; exit {status}'\n")
    )
    host.run(["systemctl", "start", unit(name)])
    assert name_interface(name) in census(host)
    host.wait_until(f"systemctl show --property=ActiveState unitgen-network@{name} | grep inactive")
    assert census(host) == before


def test_container_without_a_spec_gets_nothing(host: NspawnHost) -> None:
    """The vendor's service is as it was: its network unit is skipped."""
    host.run("systemctl start unitgen-network@nobody")
    assert "inactive" in host.run("systemctl is-active unitgen-network@nobody", check=False).stdout
    assert "nobody" not in census(host)


def test_host_without_ipv6(host: NspawnHost, containers: Containers) -> None:
    """Switched off by sysctl, as many do: the container has an IPv4 address alone."""
    name = containers.add(Container(LOOP + "[Network]\nPort=8105:80\n"))
    switch = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
    host.run(f"echo 1 >{switch}")
    try:
        start(host, name)
        assert host.read(f"/run/unitgen/hosts/{name}").count("\n") == 1
        assert "fd" not in run_inside(
            host, name, "ip address show host0 | grep 'inet6.*global'", check=False
        )
    finally:
        host.run(f"echo 0 >{switch}")
