"""Packets that nobody should send: to 127.0.0.1 by wire, and in the name of others by a container."""

import pytest

from tests.boot.inside import start
from tests.boot.lan import HOST, MACHINE, make_lan
from tests.testbed.containers import Container, Containers
from tests.testbed.host import NspawnHost
from unitgen.network import name_namespace

LOOP = "[Exec]\nProcessTwo=yes\nParameters=sleep infinity\n"
# Ports of their own for each backend: the kernel remembers for a while where a datagram's likes went.
BACKENDS = pytest.mark.parametrize(("backend", "port"), [("iptables", 18400), ("nft", 18410)])

lan = pytest.fixture(make_lan)

# Writes what comes by udp to a file, a line for each datagram.
_LISTEN = """
import socket, sys
server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
server.bind(("::", int(sys.argv[1])))
with open(sys.argv[2], "w", buffering=1) as file:
    while True:
        data, peer = server.recvfrom(99)
        print(peer[0], file=file)
"""

# Sends a frame: hardware address it is for, interface, and addresses and port of the udp datagram in it.
_FRAME = """
import socket, struct, sys
hardware, interface, source, target, port = sys.argv[1:]
udp = struct.pack("!HHHH", 4444, int(port), 8 + 4, 0) + b"ping"
ip = [0x4500, 20 + len(udp), 1, 0, 64 << 8 | 17, 0]
ip = struct.pack("!6H", *ip) + socket.inet_aton(source) + socket.inet_aton(target)
total = sum(struct.unpack("!10H", ip))
check = ~(total + (total >> 16)) & 0xFFFF
ip = ip[:10] + struct.pack("!H", check) + ip[12:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((interface, 0))
wire.send(bytes.fromhex(hardware.replace(":", "")) + wire.getsockname()[4] + b"\\x08\\0" + ip + udp)
"""

# A datagram from an address that is none of the machine's; 78 is IPV6_FREEBIND, which anybody may set.
_FORGE = """
import socket, sys
sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IPV6, 78, 1)
sender.bind((sys.argv[1], 0))
sender.sendto(b"ping", (sys.argv[2], int(sys.argv[3])))
"""


def listen(host: NspawnHost, name: str, place: str, port: int) -> str:
    """Have a namespace (the host's own if it is empty) listen; the file with who has sent something."""
    host.write("/run/listen.py", _LISTEN)
    enter = f"nsenter --net=/run/netns/{place} " if place else ""
    host.run(
        f"systemd-run --quiet --collect --unit={name} {enter}python3 /run/listen.py {port} /run/{name}.seen"
    )
    host.wait_until(f"test -e /run/{name}.seen")
    return f"/run/{name}.seen"


@BACKENDS
@pytest.mark.usefixtures("lan")
def test_port_of_loopback_is_closed_to_the_wire(
    backend: str, port: int, host: NspawnHost, containers: Containers
) -> None:
    """DNAT gives such a frame another destination before the kernel could drop it as forged."""
    spec = (
        f"{LOOP}[Network]\nPort=udp:127.0.0.1:{port}:53\nPort=udp:{port + 1}:53\n"
        f"[Firewall]\nBackend={backend}\n"
    )
    name = containers.add(Container(spec))
    start(host, name)
    seen = listen(host, f"wire-{backend}", name_namespace(name), 53)
    host.write("/run/frame.py", _FRAME)
    hardware = host.read("/sys/class/net/lan0/address").strip()
    send = f"ip netns exec lan python3 /run/frame.py {hardware} up0 {MACHINE[4]}"
    host.run(f"{send} 127.0.0.1 {port}; {send} {HOST[4]} {port + 1}")
    host.wait_until(f"grep {MACHINE[4]} {seen}")
    assert host.read(seen).count("\n") == 1
    host.run(f"systemctl stop wire-{backend}")


@BACKENDS
@pytest.mark.usefixtures("lan")
def test_container_sends_in_its_own_name_only(
    backend: str, port: int, host: NspawnHost, containers: Containers
) -> None:
    """To the host, and to a sibling that lets the LAN in."""
    sender = containers.add(Container(f"{LOOP}[Firewall]\nBackend={backend}\n"))
    target = containers.add(
        Container(
            f"{LOOP}[Network]\nPort=udp:{port + 2}:53\n[Firewall]\nBackend={backend}\nAllowFrom=fd98::/64\n"
        )
    )
    start(host, sender)
    start(host, target)
    at_host = listen(host, f"host-{backend}", "", port + 3)
    inside = listen(host, f"forged-{backend}", name_namespace(target), 53)
    host.write("/run/forge.py", _FORGE)
    enter = f"nsenter --net=/run/netns/{name_namespace(sender)} setpriv --reuid=65534 --clear-groups"
    own = host.read(f"/run/unitgen/hosts/{sender}").splitlines()[1].split()[0]
    for target_port in (port + 2, port + 3):
        host.run(f"{enter} python3 /run/forge.py {MACHINE[6]} {HOST[6]} {target_port}")
    # The counter-check: in its own name to the host, and from the LAN itself to the sibling.
    host.run(f"{enter} python3 /run/forge.py {own} {HOST[6]} {port + 3}")
    host.run(f"ip netns exec lan python3 /run/forge.py {MACHINE[6]} {HOST[6]} {port + 2}")
    host.wait_until(f"grep {own} {at_host} && grep {MACHINE[6]} {inside}")
    assert host.read(at_host) == f"{own}\n"
    assert host.read(inside) == f"{MACHINE[6]}\n"
    host.run(f"systemctl stop host-{backend} forged-{backend}")
