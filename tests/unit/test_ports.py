"""Port=: what it accepts, what that means, and when two of them are the same."""

from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.specs import make_spec
from unitgen.errors import BadValue
from unitgen.ports import PORT, Port, PortBook, Span, list_pairs, read_ports
from unitgen.rules import check_rules

ADDRESSES = ["", "192.0.2.1", "192.0.2.2", "2001:db8::1", "127.0.0.1", "::1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [("tcp", "", (80, 80), (80, 80))]),
        ("8080:80", [("tcp", "", (8080, 8080), (80, 80))]),
        ("tcp:80", [("tcp", "", (80, 80), (80, 80))]),
        ("udp:53:5353", [("udp", "", (53, 53), (5353, 5353))]),
        ("65535:1", [("tcp", "", (65535, 65535), (1, 1))]),
        ("1-65535", [("tcp", "", (1, 65535), (1, 65535))]),
        ("80-80", [("tcp", "", (80, 80), (80, 80))]),
        ("8000-8010:80-90", [("tcp", "", (8000, 8010), (80, 90))]),
        ("192.0.2.1:80", [("tcp", "192.0.2.1", (80, 80), (80, 80))]),
        ("udp:192.0.2.1:53:54", [("udp", "192.0.2.1", (53, 53), (54, 54))]),
        ("[2001:DB8:0::1]:80-81", [("tcp", "2001:db8::1", (80, 81), (80, 81))]),
        ("127.0.0.1:80", [("tcp", "127.0.0.1", (80, 80), (80, 80))]),
        ("tcp:[::1]:80:8080", [("tcp", "::1", (80, 80), (8080, 8080))]),
        ("tcp+udp:53", [("tcp", "", (53, 53), (53, 53)), ("udp", "", (53, 53), (53, 53))]),
        (
            "tcp+udp:[2001:db8::1]:1-2:3-4",
            [("tcp", "2001:db8::1", (1, 2), (3, 4)), ("udp", "2001:db8::1", (1, 2), (3, 4))],
        ),
    ],
)
def test_accepted(text: str, expected: list[tuple[object, ...]]) -> None:
    assert PORT.parse(text) == text
    assert list(read_ports(text)) == expected


@pytest.mark.parametrize("text", ["[0:0::1]:80", "[0:0:0:0:0:0:0:1]:80"])
def test_loopback_address_in_another_form(text: str) -> None:
    """The rules compare addresses as text."""
    assert [port.address for port in read_ports(text)] == ["::1"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "65536", "99999", "100000", "080", "80:", ":80", "80:80:80", "tcp", "tcp:", "TCP:80"),
        *("sctp:80", " 80", "80 ", "tcp:udp:80", "-1", "8O", "tcp:80/x", "80-", "80--90", "٨٠", "80,81"),
        *("80-79", "80:90-80", "80-81:80", "80:80-81", "1-3:1-2", "0-1", "65535-65536", "80-90-100"),
        *("192.0.2.1", "192.0.2.1:", "192.0.2:80", "192.0.2.256:80", "192.0.2.1/32:80", "0.0.0.0:80"),
        *("[::]:80", "[]:80", "[192.0.2.1]:80", "2001:db8::1:80", "[2001:db8::1]80", "[2001:db8::g]:80"),
        *("[fe80::1%eth0]:80", "[fe80::1]:80", "[ff02::1]:80", "224.0.0.1:80", "169.254.1.1:80"),
        *("[0::0]:80", "255.255.255.255:80", "[[::1]]:80", "localhost:80", "*:80", "tcp+udp+tcp:80"),
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(BadValue) as caught:
        PORT.parse(text)
    assert str(caught.value)
    assert caught.value.hint


@given(st.text("0123456789-:.[]abcdeftup+ ", max_size=30))
def test_nothing_but_bad_value_is_raised(text: str) -> None:
    try:
        ports = read_ports(text)
    except BadValue as error:
        assert error.hint
    else:
        assert all(len(set(list_pairs(port))) == len(list(list_pairs(port))) for port in ports)


@st.composite
def make_ports(draw: st.DrawFn) -> Port:
    first, length, guest = (draw(st.integers(1, most)) for most in (12, 6, 60000))
    protocol, address = draw(st.sampled_from(["tcp", "udp"])), draw(st.sampled_from(ADDRESSES))
    return Port(protocol, address, Span(first, first + length - 1), Span(guest, guest + length - 1))


def list_packets(port: Port) -> Iterator[tuple[str, str, int]]:
    """Protocol, address and port of everything that is forwarded, on a host with these addresses."""
    addresses = [port.address] if port.address else ADDRESSES[1:]
    return product([port.protocol], addresses, range(port.host.first, port.host.last + 1))


@given(make_ports(), make_ports())
def test_overlap_is_a_packet_for_both(one: Port, other: Port) -> None:
    common = set(list_packets(one)) & set(list_packets(other))
    assert one.overlaps(other) is other.overlaps(one) is bool(common)


@given(make_ports())
def test_pairs_keep_their_distance(port: Port) -> None:
    pairs = list(list_pairs(port))
    assert [host for host, _ in pairs] == list(range(port.host.first, port.host.last + 1))
    assert {guest - host for host, guest in pairs} == {port.guest.first - port.host.first}


@given(make_ports())
def test_written_form_reads_back(port: Port) -> None:
    """What messages show can be written in a spec; the container's ports are left out there."""
    assert read_ports(port.format()) == (port._replace(guest=port.host),)
    written = f"{port.format()}:{port.guest.format()}"
    assert read_ports(written) == (port,)


@given(st.lists(make_ports(), max_size=20), make_ports(), st.sampled_from([0, 100]))
def test_book_finds_what_overlaps(ports: list[Port], wanted: Port, more: int) -> None:
    """Whether there is one, whatever the lengths and addresses."""
    ports = [port._replace(host=Span(port.host.first, port.host.last + more)) for port in ports]
    book: PortBook[int] = PortBook()
    for number, port in enumerate(ports):
        book.add(port, number)
    for port in (wanted, wanted._replace(host=Span(wanted.host.first, wanted.host.last + 200))):
        found = {number for _, number in book.find(port)}
        assert found == {number for number, other in enumerate(ports) if port.overlaps(other)}


@pytest.mark.parametrize(
    ("lines", "most"),
    [
        (["1-1001:2-1002"], 1000),
        (["tcp+udp:1-1001:2-1002"], 1000),
        (["1-1000:2-1001", "2000-7999", "8000:80"], 0),
        ([f"192.0.2.{number}:1-1000:2-1001" for number in range(1, 11)], 0),
        ([f"192.0.2.{number}:1-1000:2-1001" for number in range(1, 12)], 10_000),
        ([f"udp:{2 * number}:{2 * number + 1}" for number in range(1, 12_000, 10)], 0),
    ],
)
def test_ports_that_nft_has_to_name(lines: list[str], most: int) -> None:
    """Also where it is the host that has nft, and not for those who use iptables in its place."""
    text = "[Network]\n" + "".join(f"Port={line}\n" for line in lines)
    spec = make_spec("web", text)
    found = [problem.message for problem in check_rules(spec, "nft")]
    assert found == ([f"nft has to name each of more than {most} ports that change"] if most else [])
    assert check_rules(spec, "iptables") == ()
    assert check_rules(make_spec("web", f"{text}[Firewall]\nBackend=iptables\n"), "nft") == ()
