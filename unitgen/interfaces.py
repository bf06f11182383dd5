"""Network interfaces: values of [Network], and the names that systemd-nspawn gives to host sides."""

import re

from unitgen.errors import BadValue
from unitgen.values import Type, each

IFNAMSIZ = 15  # characters, without the terminating NUL

# systemd: src/shared/netif-naming-scheme and src/nspawn/nspawn-network.c, SHORTEN_IFNAME_HASH_KEY.
_SHORTEN_KEY = bytes.fromhex("e190a404a8ef4b518cccc33a9f11fca2")
_BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_MASK = (1 << 64) - 1


def check_interface(text: str, longest: int = IFNAMSIZ) -> str:
    """An interface name the kernel takes, and iptables and a shell too (so no quotes or blanks)."""
    if (
        not re.fullmatch(r"[A-Za-z0-9_.@-]+", text)
        or text in (".", "..", "all", "default")
        or text.isdigit()
    ):
        raise BadValue(f"{text!r} is not an interface name", "use letters, digits, - _ and .")
    if len(text) > longest:
        raise BadValue(f"{text!r} is longer than {longest} characters", "shorten it")
    return text


def parse_pair(text: str) -> str:
    """HOST[:CONTAINER], the interface's name on the host and in the container."""
    names = text.split(":")
    if len(names) > 2:
        raise BadValue(f"{text!r} names more than two interfaces", "write HOST or HOST:CONTAINER")
    return ":".join(map(check_interface, names))


def parse_zone(text: str) -> str:
    """The name of a zone, whose bridge is called vz-NAME."""
    return check_interface(text, IFNAMSIZ - len("vz-"))


def shorten_name(name: str) -> str:
    """The name that an interface gets from systemd-nspawn when `name` is too long for the kernel.

    The first 11 characters and 24 bits of a siphash24 in base64url (systemd v245 and later).
    """
    if len(name) <= IFNAMSIZ:
        return name
    return name[: IFNAMSIZ - 4] + compute_tag(name)


def compute_tag(name: str) -> str:
    """Four characters of base64url that stand for the end of a name that is cut."""
    digest = compute_siphash24(name.encode(), _SHORTEN_KEY)
    return "".join(_BASE64URL[digest >> shift & 63] for shift in (18, 12, 6, 0))


def compute_siphash24(data: bytes, key: bytes) -> int:
    """SipHash-2-4 of `data` under a key of 16 bytes, as an integer of 64 bits."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    state = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]
    tail = len(data) % 8
    padded = data + bytes(7 - tail) + bytes([len(data) & 0xFF])
    for offset in range(0, len(padded), 8):
        word = int.from_bytes(padded[offset : offset + 8], "little")
        state[3] ^= word
        _mix(state, 2)
        state[0] ^= word
    state[2] ^= 0xFF
    _mix(state, 4)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _MASK


def _mix(state: list[int], rounds: int) -> None:
    a, b, c, d = state
    for _ in range(rounds):
        a = (a + b) & _MASK
        b = _rotate(b, 13) ^ a
        a = _rotate(a, 32)
        c = (c + d) & _MASK
        d = _rotate(d, 16) ^ c
        a = (a + d) & _MASK
        d = _rotate(d, 21) ^ a
        c = (c + b) & _MASK
        b = _rotate(b, 17) ^ c
        c = _rotate(c, 32)
    state[:] = a, b, c, d


INTERFACE = Type("interface", check_interface)
PAIR = Type("HOST[:CONTAINER]", parse_pair)
PAIRS = Type("HOST[:CONTAINER] ...", each(parse_pair))
ZONE = Type("zone", parse_zone)
