"""Published ports and the firewall of containers with a network of unitgen's: who reaches whom, and by which
address. The host forwards nothing unless told (FORWARD DROP).
"""

import contextlib
import time
from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from tests.boot.lan import HOST, LOOPBACK, MACHINE, NAMESPACE, STRANGER, Lan, Target
from tests.testbed.containers import Container
from tests.testbed.host import Host, NspawnHost
from unitgen.network import name_namespace

# Added to the ports of the host, so that both backends have the same containers at the same time.
OFFSETS = {"iptables": 0, "nft": 100}
KINDS = ("serve", "routed", "closed", "net-only", "peer-only", "alone")
PEER, OTHER = "port-peer", "port-other"

# Of the host and of the container.
SINGLE = (18053, 53)
SAME = (7200, 7200)
SHIFTED = (7000, 8000)
LENGTH = 11
ONE_PROTOCOL = 18070
BOUND = {"127.0.0.1": 18127, "::1": 18061, HOST[4]: 18098, HOST[6]: 18066}
HIDDEN = 9999
SERVICE = 18999


def name_of(kind: str, backend: str) -> str:
    """The container of a backend."""
    return f"port-{kind}-{backend}"


def published(kind: str, backend: str) -> int:
    """The port of the host that leads to port 80 of the container."""
    return 18200 + OFFSETS[backend] + KINDS.index(kind)


def write_spec(name: str, ports: list[str], firewall: str) -> Container:
    """A container whose payload answers by tcp and udp, in a tree with the host's programs."""
    listened = [53, 80, HIDDEN, *range(SHIFTED[1], SHIFTED[1] + LENGTH)]
    listened += [SAME[1] + offset + step for offset in OFFSETS.values() for step in range(LENGTH)]
    command = " ".join(["/usr/bin/python3 /server.py", name, *map(str, listened)])
    spec = f"[Exec]\nProcessTwo=yes\nParameters={command}\n"
    spec += "[Files]\nBindReadOnly=/usr\nBindReadOnly=/usr/lib64:/lib64\n[Network]\n"
    spec += "".join(f"Port={port}\n" for port in ports) + f"[Firewall]\n{firewall}"
    return Container(spec, files={"/server.py": _SERVER})


# What it says: which container and which port this is, and who asks.
_SERVER = """
import selectors, socket, sys

def listen(port):
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", port))
    tcp = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    return tcp, udp

def answer(port, peer):
    return f"{sys.argv[1]} {port} {peer[0].removeprefix('::ffff:')}".encode()

ready = selectors.DefaultSelector()
for port in map(int, sys.argv[2:]):
    for server in listen(port):
        ready.register(server, selectors.EVENT_READ, port)
while True:
    for key, _ in ready.select():
        if key.fileobj.type == socket.SOCK_DGRAM:
            peer = key.fileobj.recvfrom(512)[1]
            key.fileobj.sendto(answer(key.data, peer), peer)
        else:
            connection, peer = key.fileobj.accept()
            connection.sendall(answer(key.data, peer))
            connection.close()
"""


def list_specs() -> Iterator[tuple[str, Container]]:
    """All containers of the module."""
    for name in (PEER, OTHER):
        yield name, write_spec(name, [], "")
    for backend, offset in OFFSETS.items():
        serve = [
            f"tcp+udp:{SINGLE[0] + offset}:{SINGLE[1]}",
            f"tcp+udp:{SAME[0] + offset}-{SAME[0] + offset + LENGTH - 1}",
            f"tcp+udp:{SHIFTED[0] + offset}-{SHIFTED[0] + offset + LENGTH - 1}"
            f":{SHIFTED[1]}-{SHIFTED[1] + LENGTH - 1}",
            f"{ONE_PROTOCOL + offset}:80",
            *(
                f"tcp+udp:{f'[{address}]' if ':' in address else address}:{port + offset}:80"
                for address, port in BOUND.items()
            ),
        ]
        limits = {
            "routed": "Masquerade=no\n",
            "closed": "Forward=no\n",
            "net-only": "AllowFrom=10.98.0.0/29 fd98::/124\n",
            "peer-only": f"AllowFrom={PEER}\n",
            "alone": "Isolate=yes\n",
        }
        for kind in KINDS:
            name = name_of(kind, backend)
            ports = [f"tcp+udp:{published(kind, backend)}:80", *(serve if kind == "serve" else [])]
            yield name, write_spec(name, ports, limits.get(kind, "") + f"Backend={backend}\n")


SPECS = dict(list_specs())

BACKENDS = pytest.mark.parametrize("backend", list(OFFSETS))
VERSIONS = pytest.mark.parametrize("version", [4, 6], ids=["ipv4", "ipv6"])


class Net:
    """The containers' addresses, and probes between them."""

    def __init__(self, host: NspawnHost) -> None:
        self.host = host
        self.lan = Lan(host)
        self.addresses = {name: read_addresses(host, name) for name in SPECS}
        self.gateways = {version: self._find_gateway(version) for version in (4, 6)}
        host.write("/run/server.py", _SERVER)
        host.run(f"systemd-run --quiet --unit=port-service python3 /run/server.py host {SERVICE}")
        self._wait(*(Target("", "tcp", both[4], 80) for both in self.addresses.values()))
        self._wait(Target("", "tcp", LOOPBACK[4], SERVICE))

    def ask(self, *targets: Target) -> list[str]:
        """What is answered to those at a place: a container, the LAN, or the host if it is empty."""
        known = {name: name_namespace(name) for name in SPECS}
        return self.lan.ask(
            *(target._replace(place=known.get(target.place, target.place)) for target in targets)
        )

    def _find_gateway(self, version: int) -> str:
        route = self.host.run(f"ip -{version} -netns {name_namespace(PEER)} route show default").stdout
        return route.split()[2]

    def _wait(self, *targets: Target) -> None:
        deadline = time.monotonic() + 30
        while not all(self.ask(*targets)):
            assert time.monotonic() < deadline, self.ask(*targets)


def read_addresses(host: Host, name: str) -> dict[int, str]:
    """The addresses of a container by IP version."""
    words = [line.split()[0] for line in host.read(f"/run/unitgen/hosts/{name}").splitlines()]
    return {6 if ":" in word else 4: word for word in words}


@pytest.fixture(scope="module")
def net(host: NspawnHost) -> Net:
    """All containers, serving."""
    return Net(host)


@contextlib.contextmanager
def forwarding(host: Host) -> Iterator[None]:
    """A host that forwards everything, for a while."""
    both = "for i in iptables ip6tables; do $i -w -P FORWARD {}; done"
    host.run(both.format("ACCEPT"))
    try:
        yield
    finally:
        host.run(both.format("DROP"))


@pytest.fixture
def routed(net: Net) -> Iterator[None]:
    """A LAN whose machines know the way to containers' addresses."""
    pools = {4: "10.77.0.0/16", 6: str(ip_network(f"{net.gateways[6]}/64", strict=False))}
    routes = [f"{pool} via {HOST[version]}" for version, pool in pools.items()]
    net.host.run("; ".join(f"ip -netns lan route add {route}" for route in routes))
    yield
    net.host.run("; ".join(f"ip -netns lan route delete {route}" for route in routes))


# From where, to which address, and what the container takes the client for.
PATHS = {
    "lan": (NAMESPACE, "host", "machine"),
    "loopback": ("", "loopback", "gateway"),
    "own-address": ("", "host", "host"),
    "sibling-by-gateway": (PEER, "gateway", "sibling"),
    "sibling-by-lan-address": (PEER, "host", "sibling"),
    "itself-by-gateway": ("serve", "gateway", "gateway"),
    "itself-by-lan-address": ("serve", "host", "gateway"),
}


@BACKENDS
@VERSIONS
@pytest.mark.parametrize("path", list(PATHS))
def test_published_port(path: str, version: int, backend: str, net: Net) -> None:
    """Use case 10, by every path: one port, the same range, another range; and nothing beside them. The
    client's address is kept wherever an answer to it finds back.
    """
    name = name_of("serve", backend)
    place, address, client = PATHS[path]
    place = name if place == "serve" else place
    known = {
        "host": HOST[version],
        "machine": MACHINE[version],
        "loopback": LOOPBACK[version],
        "gateway": net.gateways[version],
        "sibling": net.addresses[PEER][version],
    }
    expected: dict[Target, str] = {}
    for (outer, inner), steps in (SINGLE, (0,)), (SAME, (0, 5, 10)), (SHIFTED, (0, 5, 10)):
        first = Target(place, "", known[address], outer + OFFSETS[backend])
        inner += OFFSETS[backend] if inner == SAME[1] else 0
        for protocol in ("tcp", "udp"):
            for step in (-1, *steps, steps[-1] + 1):
                answer = f"{name} {inner + step} {known[client]}" if step in steps else ""
                expected[first._replace(protocol=protocol, port=first.port + step)] = answer
    assert dict(zip(expected, net.ask(*expected), strict=True)) == expected


@BACKENDS
@VERSIONS
def test_port_of_one_address_is_at_that_address_only(version: int, backend: str, net: Net) -> None:
    """Whichever of the ports one asks for, the only answer is that of the address it is bound to."""
    name = name_of("serve", backend)
    ways = [(NAMESPACE, HOST), ("", HOST), ("", LOOPBACK), (PEER, HOST), (PEER, net.gateways), (name, HOST)]
    targets = {
        Target(place, protocol, addresses[version], port + OFFSETS[backend]): addresses[version] == bound
        for place, addresses in ways
        for protocol in ("tcp", "udp")
        for bound, port in BOUND.items()
    }
    answers = dict(zip(targets, map(bool, net.ask(*targets)), strict=True))
    assert answers == targets
    assert [*targets.values()].count(True) == 10


@BACKENDS
@VERSIONS
def test_port_is_of_its_protocol_only(version: int, backend: str, net: Net) -> None:
    """tcp where nothing is said; its payload listens on a privileged port, which udp does not reach."""
    ways = ((NAMESPACE, HOST), ("", LOOPBACK), (PEER, net.gateways))
    for protocol, expected in ("tcp", True), ("udp", False):
        port = ONE_PROTOCOL + OFFSETS[backend]
        answers = net.ask(*(Target(place, protocol, address[version], port) for place, address in ways))
        assert [answer.startswith(f"{name_of('serve', backend)} 80 ") for answer in answers] == [
            expected
        ] * 3


@BACKENDS
def test_only_published_ports_are_reached_from_the_lan(backend: str, net: Net, routed: None) -> None:
    """Neither a route to the container's address nor a host that forwards everything opens another port, or
    the published one past the host's address. With Masquerade=no there is an address to be reached at.
    """
    del routed
    shut, free = name_of("serve", backend), name_of("routed", backend)
    targets = {
        Target(NAMESPACE, protocol, net.addresses[name][version], port): expected
        for name in (shut, free)
        for version in (4, 6)
        for protocol in ("tcp", "udp")
        for port in (HIDDEN, 80)
        for expected in ("" if name == shut else f"{free} {port} {MACHINE[version]}",)
    }
    assert dict(zip(targets, net.ask(*targets), strict=True)) == targets
    with forwarding(net.host):
        assert dict(zip(targets, net.ask(*targets), strict=True)) == targets
    # The ports are served, to those who may.
    assert all(net.ask(*(target._replace(place=PEER) for target in targets)))


@BACKENDS
@VERSIONS
def test_lan_sees_the_address_that_masquerade_says(
    version: int, backend: str, net: Net, routed: None
) -> None:
    """The host's, or the container's own."""
    del routed
    names = [name_of(kind, backend) for kind in ("serve", "routed")]
    seen = (HOST[version], net.addresses[names[1]][version])
    answers = net.ask(*(Target(name, "tcp", MACHINE[version], 80) for name in names))
    assert answers == [f"hello {address}" for address in seen]


@BACKENDS
def test_without_a_route_only_masquerade_brings_answers(backend: str, net: Net) -> None:
    """The counter-check: by itself the LAN does not know the way to a container's address."""
    targets = [
        Target(name_of(kind, backend), "tcp", MACHINE[version], 80)
        for kind in ("serve", "routed")
        for version in (4, 6)
    ]
    assert net.ask(*targets) == [f"hello {HOST[4]}", f"hello {HOST[6]}", "", ""]


@BACKENDS
def test_without_forward_the_host_drops(backend: str, net: Net) -> None:
    """The counter-check: Forward=no, with which nothing passes, but all does on a host that forwards."""
    name, port = name_of("closed", backend), published("closed", backend)
    targets = {
        target: answer
        for version in (4, 6)
        for target, answer in (
            *(
                (Target(NAMESPACE, protocol, HOST[version], port), f"{name} 80 {MACHINE[version]}")
                for protocol in ("tcp", "udp")
            ),
            (Target(name, "tcp", MACHINE[version], 80), f"hello {HOST[version]}"),
        )
    }
    assert net.ask(*targets) == [""] * len(targets)
    with forwarding(net.host):
        assert dict(zip(targets, net.ask(*targets), strict=True)) == targets


@BACKENDS
@pytest.mark.parametrize("kind", ["serve", "net-only", "peer-only", "alone"])
def test_who_may_connect(kind: str, backend: str, net: Net) -> None:
    """AllowFrom= and Isolate=: who gets an answer from a published port, by each way that there is, and at
    the container's own address. Where nothing limits it, as for the first one, everybody does.
    """
    name = name_of(kind, backend)
    ways = {
        (*way, protocol, version): target
        for protocol in ("tcp", "udp")
        for version in (4, 6)
        for way, target in list_ways(net, name, published(kind, backend), protocol, version)
    }
    answers = dict(zip(ways, net.ask(*ways.values()), strict=True))
    admitted = {
        "serve": {"the machine", "a stranger", PEER, OTHER},
        "net-only": {"the machine"},
        "peer-only": {PEER},
        "alone": {"the machine", "a stranger"},
    }
    admitted[kind] |= {"the host", "itself"}
    assert {way for way, answer in answers.items() if answer} == {
        way for way in ways if way[0] in admitted[kind]
    }


def list_ways(
    net: Net, name: str, port: int, protocol: str, version: int
) -> Iterator[tuple[tuple[str, str], Target]]:
    """Who asks and how, and the question."""
    by_host = Target("", protocol, HOST[version], port)
    by_gateway = by_host._replace(address=net.gateways[version])
    directly = by_host._replace(address=net.addresses[name][version], port=80)
    yield ("the machine", "by host"), by_host._replace(place=NAMESPACE)
    yield ("a stranger", "by host"), by_host._replace(place=NAMESPACE, source=STRANGER[version])
    yield ("the host", "by loopback"), by_host._replace(address=LOOPBACK[version])
    for who, place in (("the host", ""), ("itself", name), (PEER, PEER), (OTHER, OTHER)):
        for how, target in (("by host", by_host), ("by gateway", by_gateway), ("directly", directly)):
            yield (who, how), target._replace(place=place)


@BACKENDS
@VERSIONS
def test_isolated_container_reaches_nobody_but_the_world(version: int, backend: str, net: Net) -> None:
    """Neither other containers, by whatever address, nor the host's services; others reach it all."""
    serve, gateway, host = published("serve", backend), net.gateways[version], HOST[version]
    targets = {
        Target(OTHER, protocol, address, port): ""
        for protocol in ("tcp", "udp")
        for address, port in (
            (net.addresses[PEER][version], HIDDEN),
            (host, serve),
            (gateway, serve),
            (gateway, SERVICE),
        )
    }
    targets[Target(OTHER, "tcp", host, SERVICE)] = ""
    targets[Target(OTHER, "tcp", MACHINE[version], 80)] = f"hello {host}"
    assert all(net.ask(*targets))
    isolated = (target._replace(place=name_of("alone", backend)) for target in targets)
    assert dict(zip(targets, net.ask(*isolated), strict=True)) == targets


def find_name(net: Net, name: str, version: int) -> str:
    """What the host's DNS says about a sibling to a container."""
    enter = f"ip netns exec {name_namespace(name)}"
    return net.host.run(f"{enter} busybox nslookup {PEER} {net.gateways[version]}", check=False).stdout


@BACKENDS
@VERSIONS
def test_isolated_container_finds_names(version: int, backend: str, net: Net) -> None:
    """The host's DNS is the one service that stays."""
    assert net.addresses[PEER][4] in find_name(net, name_of("alone", backend), version)


@BACKENDS
@VERSIONS
def test_rules_open_nothing_of_the_host(version: int, backend: str, net: Net) -> None:
    """What the host's own INPUT rules refuse stays refused, but for DNS; forwarding is not concerned."""
    name, gateway = name_of("serve", backend), net.gateways[version]
    services = [Target(name, protocol, gateway, SERVICE) for protocol in ("tcp", "udp")]
    world = Target(name, "tcp", MACHINE[version], 80)
    assert all(net.ask(*services, world))
    rule = "for i in iptables ip6tables; do $i -w -{} INPUT -i ug-+ -j DROP; done"
    net.host.run(rule.format("A"))
    try:
        assert net.ask(*services, world) == ["", "", f"hello {HOST[version]}"]
        assert net.addresses[PEER][4] in find_name(net, name, version)
    finally:
        net.host.run(rule.format("D"))
