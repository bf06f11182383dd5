"""What docs/SECURITY.md says: the tests that it names are there, and a container is as tight as it says."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.inside import CLEAN, leader, run_inside, show, start, stop, wait_until_booted
from tests.errors.test_errors import FILE_CASES, MADE_CASES, TREE_CASES
from tests.testbed.containers import Container, Containers, unit
from tests.testbed.host import Host, NspawnHost
from unitgen.network import name_namespace

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs/SECURITY.md").read_text()
LOOP = "[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n"
# The names of cases that belong to a parametrised test.
CASES = {"test_file": FILE_CASES, "test_tree": TREE_CASES, "test_made": MADE_CASES}
# The files of the page: how exposed they leave a container that has that for specs, and one that has both.
SETS = {"specs": 7.9, "both": 6.2}


def list_named_tests() -> list[tuple[str, tuple[str, ...]]]:
    """Each test that the page names, with the cases in brackets after it."""
    found = re.findall(r"`(test_\w+)`(?: \\\[([^]]*)\\\])?", PAGE)
    return [(name, tuple(cases.split(", ")) if cases else ()) for name, cases in found]


def test_every_test_of_the_page_is_there() -> None:
    sources = "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    assert len(list_named_tests()) > 50
    assert [name for name, _ in list_named_tests() if f"\ndef {name}(" not in sources] == []


def test_every_case_of_the_page_is_there() -> None:
    missing = [
        (name, case) for name, cases in list_named_tests() for case in cases if case not in CASES[name]
    ]
    assert missing == []


def read_blocks() -> dict[str, str]:
    """The files that the page shows, by their paths."""
    return dict(re.findall(r"^```(?:ini|text)\n# (/\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def measure(host: Host, name: str) -> tuple[float, dict[str, float]]:
    """How exposed systemd-analyze finds a service: altogether, of ten, and in each point."""
    command = ["systemd-analyze", "security", "--no-pager"]
    rows = json.loads(host.run([*command, "--json=short", unit(name)], check=False).stdout)
    summary = host.run([*command, unit(name)], check=False).stdout.splitlines()[-1]
    total = re.fullmatch(rf".*{re.escape(unit(name))}: ([0-9.]+) .*", summary)
    assert total, summary
    return float(total[1]), {row["name"]: float(row["exposure"] or 0) for row in rows}


@pytest.mark.parametrize("more", ["", "Unit=full\n"], ids=["override", "full"])
def test_default_is_no_weaker_than_the_vendors(more: str, host: NspawnHost, containers: Containers) -> None:
    """Altogether, and in no single point."""
    vendor = containers.add(Container(spec=None))
    ours = containers.add(Container(f"[Container]\n{more}"))
    (theirs_total, theirs), (total, points) = measure(host, vendor), measure(host, ours)
    assert total <= theirs_total
    assert {point: value for point, value in points.items() if value > theirs[point]} == {}


@pytest.fixture
def hardened(host: NspawnHost, containers: Containers, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container with the files that the page shows, for it alone."""
    sets, container = request.param
    name = containers.add(container)
    folders = {"containers": f"/etc/unitgen/containers/{name}.ini.d"}
    if sets == "both":
        folders["system"] = f"/etc/systemd/system/{unit(name)}.d"
    for path, text in read_blocks().items():
        if folder := folders.get(path.split("/")[3]):
            host.write(f"{folder}/{path.rpartition('/')[2]}", text)
    host.run("systemctl daemon-reload")
    yield name
    host.run(["systemctl", "stop", unit(name)], timeout=150)
    host.run(["rm", "-r", *folders.values()])


GATEWAY = "10.77.0.1"
# Names are answered there, a moment after the first link is up. Not asked by TCP: dnsmasq serves twenty
# connections at once, and has others wait for minutes.
ASK = f"nslookup $(uname -n) {GATEWAY}"
TALK = f'sh -c "until {ASK}; do sleep .2; done; touch /reached; exec sleep infinity"'
CONTAINERS = {
    "program": Container(LOOP.replace("sleep infinity", TALK)),
    "guest": Container("[Container]\n", tree="guest"),
}
EVERY_SET = pytest.mark.parametrize(
    "hardened",
    [pytest.param((sets, CONTAINERS[kind]), id=f"{sets}-{kind}") for sets in SETS for kind in CONTAINERS],
    indirect=True,
)


@pytest.mark.parametrize(
    ("hardened", "figure"),
    [pytest.param((sets, CONTAINERS["program"]), figure, id=sets) for sets, figure in SETS.items()],
    indirect=["hardened"],
)
def test_hardened_container_is_less_exposed(hardened: str, figure: float, host: NspawnHost) -> None:
    """As the page says."""
    assert measure(host, hardened)[0] == figure


@EVERY_SET
def test_hardened_container_lives(hardened: str, host: NspawnHost) -> None:
    """It starts, boots, has its network and names, is reached by machinectl, reboots and stops clean."""
    start(host, hardened)
    booted = bool(run_inside(host, hardened, "ls -d /run/systemd/system", check=False))
    if booted:
        wait_until_booted(host, hardened)
        assert (
            host.run(f"systemctl --machine={hardened} is-system-running", check=False).stdout == "running\n"
        )
    assert run_inside(host, hardened, "cat /proc/sys/kernel/hostname").strip() == hardened
    check_network(host, hardened)
    host.write("/run/message", "hello\n")
    host.run(["machinectl", "copy-to", hardened, "/run/message", "/srv/message"])
    assert host.read(f"/var/lib/machines/{hardened}/srv/message") == "hello\n"
    if booted:
        before = leader(host, hardened)
        host.run(["machinectl", "reboot", hardened])
        host.wait_until(
            f"l=$(machinectl show {hardened} --property=Leader --value) && test $l != {before}", 60
        )
        wait_until_booted(host, hardened)
    assert stop(host, hardened) == CLEAN
    check_crash(host, hardened)


def check_network(host: Host, name: str) -> None:
    """The host's end of the link answers a program of the container, and the container answers the host."""
    address = host.read(f"/run/unitgen/hosts/{name}").split()[0]
    host.run(["busybox", "ping", "-c", "1", "-W", "5", address])
    if (host.tree / f"var/lib/machines/{name}/usr/bin/bash").exists():
        # By its own systemd: a process that only enters the container would not be confined.
        talk = ["bash", "-c", f": </dev/tcp/{GATEWAY}/53"]
        host.run(["systemd-run", "--quiet", f"--machine={name}", "--wait", *talk])
    else:
        host.wait_until(["test", "-e", f"/var/lib/machines/{name}/reached"])


def check_crash(host: Host, name: str) -> None:
    """A systemd-nspawn that is killed leaves nothing behind that keeps the next from starting."""
    start(host, name)
    host.run(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit(name)])
    host.wait_until(f"! systemctl is-active {unit(name)}")
    host.wait_until(f"systemctl is-active unitgen-network@{name} | grep -x inactive")
    start(host, name)
    assert show(host, name, "ActiveState") == {"ActiveState": "active"}


def test_nspawn_file_has_no_effect(host: NspawnHost, containers: Containers) -> None:
    """Whoever has made it: the command line is all that counts."""
    name = containers.add(Container(LOOP))
    text = "[Exec]\nEnvironment=SNEAKED=yes\n[Files]\nBind=/etc/shadow:/shadow\n"
    places = (f"/etc/systemd/nspawn/{name}.nspawn", f"/var/lib/machines/{name}.nspawn")
    for place in places:
        host.write(place, text)
    start(host, name)
    inside = run_inside(host, name, "ls /shadow 2>&1; cat /proc/[1-9]*/environ", check=False)
    host.run(["rm", *places])
    assert "No such file" in inside and "SNEAKED" not in inside


def test_root_of_a_container_has_no_power_over_its_network(host: NspawnHost, containers: Containers) -> None:
    """Not even with all capabilities that its user namespace has."""
    name = containers.add(Container(LOOP))
    start(host, name)
    enter = ["nsenter", f"--target={leader(host, name)}", "--user", "--net", "--setuid=0", "--setgid=0"]
    assert "CapEff:\t0000000000000000" not in host.run([*enter, "cat", "/proc/self/status"]).stdout
    for command in (
        "ip link set host0 down",
        "ip address add 10.77.0.1/32 dev host0",
        "ip route replace default via 10.77.0.2 dev host0 onlink",
        "nft add table ip open",
        "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
    ):
        result = host.run([*enter, "sh", "-c", command], check=False)
        assert result.returncode and "not permitted" in result.stderr, command


# A router advertisement with a prefix to make addresses of (RFC 4861).
_ADVERTISE = """
import socket, struct, sys
wire = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
index = socket.if_nametoindex("host0")
network = socket.inet_pton(socket.AF_INET6, "fd66::")
prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, 3600, 3600, 0, network)
message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix
wire.sendto(message, ("ff02::1", 0, 0, index))
"""


def test_host_takes_no_advice_from_containers(host: NspawnHost, containers: Containers) -> None:
    """Of router advertisements it makes no address and no route, and it hears no redirect."""
    name = containers.add(Container(LOOP))
    start(host, name)
    host.write("/run/advertise.py", _ADVERTISE)
    advertise = f"nsenter --net=/run/netns/{name_namespace(name)} python3 /run/advertise.py"
    taken = f"ip -6 address show dev ug-{name}; ip -6 route show dev ug-{name}"
    for _ in range(3):
        host.run(advertise)
        time.sleep(0.3)
    assert "fd66:" not in host.run(taken).stdout
    keys = f"/proc/sys/net/ipv6/conf/ug-{name}"
    assert host.read(f"{keys}/accept_redirects") == "0\n"
    # The counter-check: it is the sysctl that has kept it out.
    host.run(f"echo 2 >{keys}/accept_ra; echo 1 >{keys}/autoconf")
    host.wait_until(f"{advertise}; {{ {taken}; }} | grep fd66:")
