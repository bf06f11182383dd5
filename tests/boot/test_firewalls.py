"""Containers beside others that have a hand in the firewall: Docker, firewalld, ufw, nftables.service.

All run for both backends at once: the containers `ipt` and `nft` publish a port and are siblings; those
named -lone are isolated, those named -shut let nobody in. `Site.check` makes every connection there is.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.boot.inside import show, wait_for_payload
from tests.boot.lan import HOST, LOOPBACK, MACHINE
from tests.testbed.containers import Container, unit
from tests.testbed.firewalls import firewall_kept
from tests.testbed.host import Host, NspawnHost
from unitgen.firewall import name_chain

PORTS = {"ipt": 8000, "nft": 9000}
KINDS = {"": "", "-lone": "Isolate=yes\n", "-shut": "AllowFrom=192.0.2.0/24 2001:db8::/32\n"}
BACKENDS = {"ipt": "iptables", "nft": "nft"}


def _write_spec(name: str, kind: str, port: int) -> str:
    return (
        "[Container]\nAutostart=no\n[Exec]\nProcessTwo=yes\nParameters=httpd -f -p 80 -h /www\n"
        f"[Network]\nPort={port}:80\n[Firewall]\nBackend={BACKENDS[name]}\n{KINDS[kind]}"
    )


FIREWALLS_SPECS = {
    f"{name}{kind}": Container(
        _write_spec(name, kind, PORTS[name] + offset), files={"/www/name": f"{name}{kind}"}
    )
    for name in PORTS
    for offset, kind in enumerate(KINDS)
}
NAMES = tuple(FIREWALLS_SPECS)
# What comes in by a link, and what goes out by it.
JUMPS = sorted(2 * NAMES)

HOST_PORT = 7000


def firewalls_prepare(host: Host) -> None:
    """A network namespace that plays the LAN, and a server there and on the host that say who asks."""
    host.write("/opt/site/who.py", _WHO)
    host.write("/opt/site/probe.py", _PROBE)
    host.write("/opt/site/make-lan", _MAKE_LAN)


_WHO = """
import socket, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Who(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].removeprefix("::ffff:").encode())

class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6

Server(("::", int(sys.argv[1])), Who).serve_forever()
"""

# The LAN knows a way to the containers' addresses, so only rules keep it from them.
_MAKE_LAN = f"""
set -e
ip netns add lan
ip -batch - <<END
link add lan0 type veth peer name up0 netns lan
address add {HOST[4]}/24 dev lan0
address add {HOST[6]}/64 dev lan0 nodad
link set lan0 up
END
ip -netns lan -batch - <<END
link set lo up
address add {MACHINE[4]}/24 dev up0
address add {MACHINE[6]}/64 dev up0 nodad
link set up0 up
route add 10.77.0.0/16 via {HOST[4]}
route add fd00::/8 via {HOST[6]}
END
systemd-run --quiet --unit=who-lan nsenter --net=/run/netns/lan python3 /opt/site/who.py 80
systemd-run --quiet --unit=who-host python3 /opt/site/who.py 7000
"""

# Reads what is expected from files, makes all connections at once, each by a thread that has gone into the
# namespace it starts from, and prints what differs.
_PROBE = r"""
import json, os, socket, sys
from concurrent.futures import ThreadPoolExecutor

def connect(address, port, wait):
    with socket.create_connection((address, port), wait) as connection:
        connection.settimeout(2)
        connection.sendall(b"GET /name HTTP/1.0\r\n\r\n")
        return connection.makefile().read().rpartition("\n\n")[2].strip()

def resolve(server, name, kind):
    question = bytes([len(name)]) + name.encode() + bytes([0, 0, kind, 0, 1])
    with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(2)
        asker.connect((server, 53))
        asker.send(bytes([7, 7, 1, 0, 0, 1]) + bytes(6) + question)
        # One answer, which points to its name.
        address = asker.recv(512)[12 + len(question) + 12:]
    return socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, address)

def try_one(attempt):
    label, expected, place, how, *words = attempt
    with open(place) as namespace:
        os.setns(namespace.fileno(), os.CLONE_NEWNET)
    try:
        found = {"connect": connect, "resolve": resolve}[how](*words)
    except (OSError, ValueError):
        found = ""
    return "" if found == expected else f"{label}: {found!r} instead of {expected!r}"

attempts = [attempt for path in sys.argv[1:] for attempt in json.load(open(path))]
with ThreadPoolExecutor(len(attempts)) as pool:
    differences = sorted(filter(None, pool.map(try_one, attempts)))
print(*differences, sep="\n")
sys.exit(bool(differences))
"""


class Site:
    """The host with the LAN and all containers running."""

    def __init__(self, host: NspawnHost) -> None:
        self.host = host
        # Containers switch it on, and leave it on; Docker sets its policy by what it finds.
        self._forwarding = host.run(["sysctl", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"]).stdout
        host.run("sh /opt/site/make-lan")
        self.start()
        self._write_attempts()

    def close(self) -> None:
        """Leave the host as it was found."""
        self.stop()
        self.host.run("systemctl stop who-lan who-host && ip link delete lan0 && ip netns delete lan")
        self.host.run(["sysctl", "--quiet", "--load=-"], stdin=self._forwarding)

    def start(self, *names: str) -> None:
        """Start containers, or all."""
        names = names or NAMES
        self.host.run(["systemctl", "start", *map(unit, names)])
        for name in names:
            wait_for_payload(self.host, name)

    def stop(self, *names: str) -> None:
        """Stop containers, or all, and wait until the networks are gone, too; `systemctl stop` does not."""
        names = names or NAMES
        self.host.run(["systemctl", "stop", *map(unit, names)])
        networks = " ".join(f"unitgen-network@{name}" for name in names)
        self.host.wait_until(f"! systemctl is-active --quiet {networks}")
        self.settle()

    def settle(self) -> None:
        """Wait until systemd has nothing left to do."""
        self.host.wait_until('test -z "$(systemctl list-jobs --no-legend)"')

    def reload(self) -> None:
        """What an administrator does whose firewall has taken all rules out."""
        self.host.run("systemctl try-reload-or-restart 'unitgen-network@*.service'")

    def check(self, *, host_services: bool | None = None) -> None:
        """Every connection that has to work does, sooner or later, and none of the others.

        `host_services` says whether containers that are not isolated reach other services of the host, which
        is for the host's own firewall to say; None if that is of no interest.
        """
        more = {None: "", True: "/run/site/open", False: "/run/site/closed"}[host_services]
        self.host.wait_until(f"python3 /opt/site/probe.py /run/site/attempts {more}", timeout=15)

    def _write_attempts(self) -> None:
        addresses = _read_addresses(self.host)
        gateways = _read_gateways(self.host)
        attempts = [
            attempt for name in PORTS for version in (4, 6) for attempt in _plan(name, version, addresses)
        ]
        names = [
            _ask(f"{name} IPv{version} names", addresses[sibling, version], name, gateways[version], sibling)
            for own, sibling in _SIBLINGS.items()
            for name in (own, f"{own}-lone")
            for version in (4, 6)
        ]
        lonely = [
            _forbid(f"{name}-lone IPv{version} to the host at {to}", _place(f"{name}-lone"), to, HOST_PORT)
            for name in PORTS
            for version in (4, 6)
            for to in (gateways[version], HOST[version])
        ]
        host = [
            _allow(f"{name} IPv{version} to the host", addresses[name, version], _place(name), to, HOST_PORT)
            for name in PORTS
            for version in (4, 6)
            for to in (gateways[version], HOST[version])
        ]
        closed = [_forbid(label, place, to, port) for label, _, place, _, to, port, _ in host]
        files = {"attempts": [*attempts, *names, *lonely], "open": host, "closed": closed}
        for name, content in files.items():
            self.host.write(f"/run/site/{name}", json.dumps(content))


Attempt = tuple[Any, ...]
_SIBLINGS = {"ipt": "nft", "nft": "ipt"}


def _plan(name: str, version: int, addresses: dict[tuple[str, int], str]) -> Iterator[Attempt]:
    """The connections of the containers of one backend in one IP version."""
    sibling, port = _SIBLINGS[name], PORTS[name]
    own, server = HOST[version], MACHINE[version]
    title = f"{name} IPv{version}"
    yield _allow(f"{title} to the LAN", own, _place(name), server, 80)
    yield _allow(f"{title} published to the LAN", name, _LAN_PLACE, own, port)
    yield _allow(f"{title} published on loopback", name, _HOST_PLACE, LOOPBACK[version], port)
    yield _allow(f"{title} published to a sibling", name, _place(sibling), own, port)
    yield _allow(f"{title} to a sibling", sibling, _place(name), addresses[sibling, version], 80)
    yield _forbid(f"{title} past its port", _LAN_PLACE, addresses[name, version], 80)
    lone, shut = f"{name}-lone", f"{name}-shut"
    yield _allow(f"{lone} IPv{version} to the LAN", own, _place(lone), server, 80)
    yield _allow(f"{lone} IPv{version} published to the LAN", lone, _LAN_PLACE, own, port + 1)
    yield _forbid(f"{lone} IPv{version} to a sibling", _place(lone), addresses[sibling, version], 80)
    yield _forbid(f"{lone} IPv{version} from a sibling", _place(name), addresses[lone, version], 80)
    yield _allow(f"{shut} IPv{version} to the LAN", own, _place(shut), server, 80)
    yield _forbid(f"{shut} IPv{version} published to the LAN", _LAN_PLACE, own, port + 2)
    yield _forbid(f"{shut} IPv{version} from a sibling", _place(name), addresses[shut, version], 80)


_HOST_PLACE = "/proc/1/ns/net"
_LAN_PLACE = "/run/netns/lan"


def _place(name: str) -> str:
    return f"/run/netns/unitgen-{name}"


def _allow(label: str, expected: str, place: str, address: str, port: int) -> Attempt:
    return (label, expected, place, "connect", address, port, 2)


def _forbid(label: str, place: str, address: str, port: int) -> Attempt:
    return (label, "", place, "connect", address, port, 0.7)


def _ask(label: str, expected: str, name: str, server: str, question: str) -> Attempt:
    """A question for an address of the kind that is expected, to a server at an address of the same kind."""
    return (label, expected, _place(name), "resolve", server, question, 28 if ":" in expected else 1)


def _read_addresses(host: Host) -> dict[tuple[str, int], str]:
    lines = host.run("cat /run/unitgen/hosts/*").stdout.splitlines()
    pairs = [line.split() for line in lines]
    return {(name, 6 if ":" in address else 4): address for address, name in pairs}


def _read_gateways(host: Host) -> dict[int, str]:
    servers = re.findall(r"^nameserver (\S+)$", host.read("/run/unitgen/resolv.conf/ipt"), re.MULTILINE)
    return {6 if ":" in server else 4: server for server in servers}


@pytest.fixture(scope="module")
def whole_site(firewalls: NspawnHost) -> Iterator[Site]:
    """The containers, for all tests here; nothing of them is left for other modules."""
    site = Site(firewalls)
    yield site
    site.close()


@pytest.fixture
def site(whole_site: Site) -> Iterator[Site]:
    """All containers running and all rules in place, before and after."""
    whole_site.check(host_services=True)
    with firewall_kept(whole_site.host):
        yield whole_site
        whole_site.host.run("systemctl stop nftables && systemctl reset-failed")
    whole_site.settle()
    whole_site.start()
    whole_site.reload()


def drop_forwarded(host: Host) -> None:
    """What Docker does where it finds forwarding off, and what careful people do."""
    for tool in ("iptables", "ip6tables"):
        host.run([tool, "-P", "FORWARD", "DROP"])


def own_rules(host: Host) -> list[str]:
    """All that is unitgen's in all tables, every line as often as it is there."""
    lines = []
    for tool in ("iptables-save", "ip6tables-save"):
        table = ""
        for line in host.run([tool]).stdout.splitlines():
            table = line if line.startswith("*") else table
            if "unitgen" in line:
                lines.append(f"{tool} {table} {line.partition(' [')[0]}")
    tables = re.findall(r"^table ip6? unitgen-.*?^}", _list_ruleset(host), re.MULTILINE | re.DOTALL)
    return sorted([*lines, *tables])


def others_rules(host: Host) -> list[str]:
    """All other rules of iptables, in their order; without policies, which Docker sets or leaves alone."""
    saved = host.run("iptables-save; ip6tables-save").stdout.splitlines()
    return [line for line in saved if line[:1] in "-:" and "unitgen" not in line and "[" not in line]


def _list_ruleset(host: Host) -> str:
    return host.run("nft --stateless list ruleset 2>/dev/null").stdout


def jumps(host: Host, chain: str) -> list[str]:
    """The containers to whose chains a chain of iptables leads."""
    listed = host.run(["iptables", "-S", chain]).stdout
    return sorted(re.findall(r"-j unitgen-(\S+)$", listed, re.MULTILINE))


def test_forward_policy_drop(site: Site) -> None:
    drop_forwarded(site.host)
    site.check(host_services=True)


def test_docker_before_containers_and_restarted(site: Site) -> None:
    """Docker's own rules are, at any time, what they are without us."""
    host = site.host
    site.stop()
    assert own_rules(host) == []
    host.run("systemctl start docker")
    drop_forwarded(host)
    docker = others_rules(host)
    assert "-A FORWARD -j DOCKER-USER" in docker
    site.start()
    site.check(host_services=True)
    assert jumps(host, "DOCKER-USER") == jumps(host, "FORWARD") == JUMPS
    assert others_rules(host) == docker
    host.run("systemctl restart docker")
    site.settle()
    site.check(host_services=True)
    assert jumps(host, "DOCKER-USER") == jumps(host, "FORWARD") == JUMPS
    assert others_rules(host) == docker
    site.stop()
    assert own_rules(host) == []
    assert others_rules(host) == docker


def test_docker_after_containers(site: Site) -> None:
    host = site.host
    drop_forwarded(host)
    host.run("systemctl start docker")
    site.settle()
    assert jumps(host, "DOCKER-USER") == jumps(host, "FORWARD") == JUMPS
    # What Docker promises to go through first it does.
    forward = host.run("iptables -S FORWARD").stdout
    assert forward.index("-j DOCKER-USER") < forward.index("-o docker0")
    site.check(host_services=True)
    site.reload()
    assert jumps(host, "DOCKER-USER") == JUMPS


def test_firewalld_before_containers(site: Site) -> None:
    site.stop()
    site.host.run("systemctl start firewalld")
    site.start()
    site.check(host_services=False)


def test_firewalld_after_containers(site: Site) -> None:
    """Links are in the zone of the package, with names that firewalld has never heard of."""
    host = site.host
    host.run("systemctl start firewalld")
    assert host.run("firewall-cmd --get-zone-of-interface=ug-+").stdout == "unitgen\n"
    site.check(host_services=False)
    for command in (
        "firewall-cmd --reload",
        "firewall-cmd --complete-reload",
        "systemctl reload firewalld",
        "systemctl restart firewalld",
    ):
        host.run(command)
        site.check()


def test_without_the_zone_firewalld_refuses(site: Site) -> None:
    """The counter-check: names are out of reach."""
    host = site.host
    host.run("systemctl start firewalld && firewall-cmd --zone=unitgen --remove-interface=ug-+")
    ask = "python3 /opt/site/probe.py /run/site/attempts | grep -c names"
    assert host.run(ask).stdout == "8\n"


_DIRECT = "firewall-cmd --permanent --direct --{}-rule ipv4 filter INPUT 0 -p tcp --dport 9 -j ACCEPT"


@pytest.mark.parametrize("command", ["systemctl reload firewalld", "firewall-cmd --reload"])
def test_firewalld_that_takes_all_rules_out(site: Site, command: str) -> None:
    """With direct rules, or its older backend, firewalld empties the tables of iptables at a reload."""
    host = site.host
    before = own_rules(host)
    host.run("systemctl start firewalld")
    try:
        host.run(_DIRECT.format("add"))
        # A reload is over when firewalld answers again.
        host.run(f"{command} && firewall-cmd --state")
        site.check()
        assert own_rules(host) == before
    finally:
        host.run(_DIRECT.format("remove"))


def test_ufw_before_containers(site: Site) -> None:
    """What ufw denies stays denied: containers reach names, but no other service of the host."""
    site.stop()
    site.host.run("ufw --force enable")
    site.start()
    site.check(host_services=False)


def test_ufw_after_containers(site: Site) -> None:
    host = site.host
    before = own_rules(host)
    host.run("ufw --force enable && ufw default deny routed")
    listed = host.run("ufw status verbose").stdout
    assert "deny (incoming)" in listed and "deny (routed)" in listed
    site.check(host_services=False)
    for command in ("ufw reload", "systemctl start ufw", "systemctl restart ufw"):
        host.run(command)
        site.settle()
        site.check(host_services=False)
        assert own_rules(host) == before


def test_recovery_from_a_flushed_ruleset(site: Site) -> None:
    """By hand, as nobody is told of it; no container restarts."""
    host = site.host
    before, lives = own_rules(host), read_lives(host)
    host.run("nft flush ruleset")
    for port in PORTS.values():
        assert host.run(f"nc -z -w 1 127.0.0.1 {port}", check=False).returncode == 1
        assert host.run(f"nc -z -w 1 ::1 {port}", check=False).returncode == 1
    site.reload()
    site.check(host_services=True)
    assert own_rules(host) == before
    site.reload()
    assert own_rules(host) == before
    assert read_lives(host) == lives


@pytest.mark.parametrize("command", ["start", "restart", "reload", "stop"])
def test_rules_come_back_by_themselves(site: Site, command: str) -> None:
    """Debian's nftables.service flushes everything at each of these."""
    host = site.host
    before, lives = own_rules(host), read_lives(host)
    if command != "start":
        host.run("systemctl start nftables")
        site.settle()
        # Only what comes back after the command counts.
        assert own_rules(host) == before
    host.run(["systemctl", command, "nftables"])
    site.settle()
    site.check(host_services=True)
    assert own_rules(host) == before
    assert read_lives(host) == lives


def test_rules_come_back_when_another_one_has_ended(site: Site) -> None:
    """The end of Docker is not the end of care for what nftables.service does."""
    host = site.host
    before = own_rules(host)
    host.run("systemctl start nftables docker && systemctl stop docker docker.socket")
    site.settle()
    host.run("systemctl reload nftables")
    site.settle()
    site.check(host_services=True)
    assert own_rules(host) == before


def read_lives(host: Host) -> list[dict[str, str]]:
    """What would tell that a container was started again."""
    return [show(host, name, "MainPID", "ActiveEnterTimestampMonotonic") for name in NAMES]


@contextlib.contextmanager
def replaced(host: Host, tool: str, script: str) -> Iterator[None]:
    """Have another program in the place of one, or none if the script is empty."""
    place = f"/usr/sbin/{tool}"
    host.run(["mv", place, f"{place}.away"])
    try:
        if script:
            host.write(place, script, 0o755)
        yield
    finally:
        host.run(["mv", "-f", f"{place}.away", place])


def remains(host: Host, name: str) -> list[str]:
    """What there is of a container's network."""
    files = host.run(f"ls -d /run/unitgen/*/{name} /run/netns/unitgen-{name}", check=False).stdout.split()
    links = re.findall(rf"ug-{name}@", host.run("ip -brief link").stdout)
    chain = re.escape(name_chain(name).replace("-", "@", 1)).replace("@", "[-_]")
    return [*files, *links, *(rule for rule in own_rules(host) if re.search(rf"{chain}\b(?!-)", rule))]


@pytest.mark.parametrize(
    ("name", "tool", "remedy"),
    [
        ("ipt", "iptables-restore", "install iptables, or nftables and set [Firewall] Backend=nft"),
        ("ipt", "ip6tables-restore", "install iptables, or nftables and set [Firewall] Backend=nft"),
        ("nft", "nft", "install nftables, or iptables and set [Firewall] Backend=iptables"),
    ],
)
def test_missing_program(site: Site, name: str, tool: str, remedy: str) -> None:
    host = site.host
    site.stop(name)
    assert remains(host, name) == []
    with replaced(host, tool, ""):
        assert host.run(["systemctl", "start", unit(name)], check=False).returncode == 1
    expected = f"/etc/unitgen/containers/{name}.ini: error: {tool} is not installed; {remedy}"
    assert expected in read_journal(host, name)
    assert remains(host, name) == []
    assert show(host, name, "ActiveState", "MainPID") == {"ActiveState": "inactive", "MainPID": "0"}


def test_backend_nft_does_without_iptables(site: Site) -> None:
    """There is nobody then who would drop in the chains of iptables."""
    host = site.host
    site.stop("nft")
    tools = [f"{family}-{verb}" for family in ("iptables", "ip6tables") for verb in ("save", "restore")]
    with contextlib.ExitStack() as stack:
        for tool in tools:
            stack.enter_context(replaced(host, tool, ""))
        site.start("nft")
    site.check(host_services=True)


# Fails before, or after, it has done its work.
_FAILS = "#!/bin/sh\necho out of luck >&2\nexit 1\n"
_FAILS_LATE = '#!/bin/sh\n"$0.away" "$@"\necho out of luck >&2\nexit 1\n'


@pytest.mark.parametrize("script", [_FAILS, _FAILS_LATE], ids=["before", "after"])
@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("ipt", "iptables-restore"),
        ("ipt", "ip6tables-restore"),
        ("nft", "nft"),
        ("nft", "ip6tables-restore"),
    ],
)
def test_rules_that_fail_to_load(site: Site, name: str, tool: str, script: str) -> None:
    """The container is not started, and of what was loaded until then nothing is left."""
    host = site.host
    site.stop(name)
    with replaced(host, tool, script):
        assert host.run(["systemctl", "start", unit(name)], check=False).returncode == 1
    assert "out of luck" in read_journal(host, name)
    # What the tool could not take out, as far as it said, is noted for the next start.
    notes = {f"/run/unitgen/{folder}/{name}" for folder in ("network", "rules")}
    assert {*remains(host, name)} <= notes
    assert show(host, name, "ActiveState", "MainPID") == {"ActiveState": "inactive", "MainPID": "0"}
    site.start(name)
    site.stop(name)
    assert remains(host, name) == []


def read_journal(host: Host, name: str) -> str:
    """What the last start of a container's network said."""
    since = host.run(
        ["systemctl", "show", "--property=InvocationID", "--value", f"unitgen-network@{name}"]
    ).stdout.strip()
    return host.run(["journalctl", "--output=cat", f"_SYSTEMD_INVOCATION_ID={since}"]).stdout


COUNTED = "nft iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore"
TWICE = ["ip6tables-restore", "ip6tables-save", "iptables-restore", "iptables-save"]


@pytest.mark.parametrize(("name", "expected"), [("ipt", TWICE), ("nft", [*TWICE, "nft"])])
def test_few_processes(site: Site, name: str, expected: list[str]) -> None:
    """For the rules of a start, and of a reload, two for each IP version, and one of nft for both."""
    host = site.host
    site.stop(name)
    for tool in COUNTED.split():
        host.write(
            f"/run/counted/{tool}",
            f'#!/bin/sh\necho {tool} >>/run/counted/log\nexec /usr/sbin/{tool} "$@"\n',
            0o755,
        )
    dropin = f"/run/systemd/system/unitgen-network@{name}.service.d/count.conf"
    host.write(dropin, "[Service]\nEnvironment=PATH=/run/counted:/usr/sbin:/usr/bin\n")
    host.run("systemctl daemon-reload")
    try:
        site.start(name)
        assert sorted(host.read("/run/counted/log").split()) == expected
        host.run("rm /run/counted/log")
        host.run(["systemctl", "reload", f"unitgen-network@{name}"])
        assert sorted(host.read("/run/counted/log").split()) == expected
    finally:
        host.run(f"rm -r {dropin} /run/counted && systemctl daemon-reload")
