"""What every parser accepts, in the form that systemd-nspawn gets, and what it refuses, with a hint."""

import shutil
import subprocess
from collections.abc import Callable

import pytest

from unitgen import values
from unitgen.addresses import ADDRESSES, GATEWAYS, LINK_ADDRESSES, PEERS, POOLS, SERVERS
from unitgen.amounts import parse_percent, parse_span
from unitgen.directives import LISTS
from unitgen.errors import BadValue
from unitgen.interfaces import INTERFACE, PAIR, PAIRS, ZONE
from unitgen.keys import KEYS
from unitgen.model import Value
from unitgen.mounts import BIND, OVERLAY, TMPFS, find_target, list_sources, read_bind, split_fields
from unitgen.nspawn import number_signal
from unitgen.ports import PORT
from unitgen.systemd import ask_version

PRIVATE_USERS = KEYS["Exec", "PrivateUsers"].type
PIVOT_ROOT = KEYS["Exec", "PivotRoot"].type
FAMILIES = KEYS["Exec", "RestrictAddressFamilies"].type
HASH = KEYS["Files", "RootHash"].type
SIGNATURE = KEYS["Files", "RootHashSignature"].type
SHELL = KEYS["Files", "BindUserShell"].type
VOLATILE = KEYS["Files", "Volatile"].type
NUMBER = values.Type("number", values.parse_number(-10, 10))
HOSTNAME = KEYS["Exec", "Hostname"].type
PERCENT = values.Type("percent", parse_percent)
SPAN = values.Type("time span", parse_span)
LETTERS = "x" * 255

GOOD: list[tuple[values.Type, str, Value]] = [
    *((values.BOOLEAN, text, True) for text in ("1", "yes", "y", "true", "t", "on", "YES", "True", "oN")),
    *((values.BOOLEAN, text, False) for text in ("0", "no", "n", "false", "f", "off", "NO", "False")),
    (values.TEXT, "free text", "free text"),
    (values.TEXT, '"quoted # text"', "quoted # text"),
    (values.TEXT, "'it is'", "it is"),
    (values.TEXT, '"it\'s"', "it's"),
    (values.TEXT, 'say "hi"', 'say "hi"'),
    (values.TEXT, '"a" and "b"', '"a" and "b"'),
    (values.TEXT, '"', '"'),
    (values.TEXT, '""', ""),
    (values.TEXT, "a\\", "a\\"),
    (values.PATH, "/", "/"),
    (values.PATH, "/srv/web", "/srv/web"),
    (values.PATH, "//srv/./web//", "/srv/web"),
    (values.PATH, "/srv/my web/ä", "/srv/my web/ä"),
    (values.PATH, "/a:b,c\\d%i$x'\"", "/a:b,c\\d%i$x'\""),
    (values.PATH, "/..a/b..", "/..a/b.."),
    (values.PATH, f"/{LETTERS}", f"/{LETTERS}"),
    (values.PATH, f"/{LETTERS}" * 15 + "/" + "y" * 254, f"/{LETTERS}" * 15 + "/" + "y" * 254),
    (values.MACHINE, "web", "web"),
    (values.MACHINE, "10.example", "10.example"),
    (values.MACHINE, "x" * 64, "x" * 64),
    (values.MACHINES, "web", ("web",)),
    (values.MACHINES, "web db-1\t10 A.example", ("web", "db-1", "10", "A.example")),
    (values.MACHINES, "a--b", ("a--b",)),
    (values.RLIMIT_NICE, "5:-5", "5:-5"),
    (values.RLIMIT_NICE, "-1:40", "-1:40"),
    (values.RLIMIT_SIZE, "15E", "15E"),
    (values.RLIMIT_CPU, "1h:infinity", "1h:infinity"),
    (values.SIZE, "15E", "15E"),
    (SPAN, "5 5", "5 5"),
    (SPAN, "10000000000us", "10000000000us"),
    (values.USERS, "a_b-C9", ("a_b-C9",)),
    (values.MACHINES, "x" * 64, ("x" * 64,)),
    (values.WORDS, "/bin/sh -c", ("/bin/sh", "-c")),
    (values.WORDS, "  a \t b ", ("a", "b")),
    (values.WORDS, "'a b' \"c d\"", ("a b", "c d")),
    (values.WORDS, "a'b c'd", ("ab cd",)),
    (values.WORDS, "'' \"\"", ("", "")),
    (values.WORDS, "'\"' \"'\"", ('"', "'")),
    (values.WORDS, "a\\nb \\\\", ("a\\nb", "\\\\")),
    (values.WORDS, "a\\ b", ("a\\", "b")),
    (values.WORDS, "$HOME %i;", ("$HOME", "%i;")),
    (values.ENVIRONMENT, "A=1", ("A=1",)),
    (values.ENVIRONMENT, "A=1 'B=x y' _C9=", ("A=1", "B=x y", "_C9=")),
    (values.ENVIRONMENT, 'A="x y"', ("A=x y",)),
    (values.ENVIRONMENT, "TERM", ("TERM",)),
    (values.ENVIRONMENT, "A=b=c", ("A=b=c",)),
    (values.USER, "alice", "alice"),
    (values.USER, "_a.b-c", "_a.b-c"),
    (values.USER, "1000", "1000"),
    (values.USER, "x" * 31, "x" * 31),
    (values.USERS, "alice bob", ("alice", "bob")),
    (values.CAPABILITIES, "CAP_NET_ADMIN cap_chown", ("CAP_NET_ADMIN", "CAP_CHOWN")),
    (values.CAPABILITIES, "all", ("all",)),
    (values.OWN_CAPABILITIES, "CAP_CHECKPOINT_RESTORE", ("CAP_CHECKPOINT_RESTORE",)),
    (values.SIGNAL, "TERM", "SIGTERM"),
    (values.SIGNAL, "SIGTERM", "SIGTERM"),
    (values.SIGNAL, "sigrtmin+3", "SIGRTMIN+3"),
    (values.SIGNAL, "RTMIN", "SIGRTMIN"),
    (values.SIGNAL, "SIGRTMIN+30", "SIGRTMIN+30"),
    (values.SIGNAL, "RTMAX-30", "SIGRTMAX-30"),
    (values.SIGNAL, "15", "15"),
    (values.SIGNAL, "64", "64"),
    (values.ID128, "0123456789ABCDEF0123456789abcdef", "0123456789abcdef0123456789abcdef"),
    (values.ID128, "01234567-89AB-CDEF-0123-456789abcdef", "0123456789abcdef0123456789abcdef"),
    (NUMBER, "-10", "-10"),
    (NUMBER, "+10", "10"),
    (NUMBER, "+7", "7"),
    (values.CPUS, "0", "0"),
    (values.CPUS, "0-3 5,7", "0-3,5,7"),
    (values.CPUS, "0, 2", "0,2"),
    (values.SYSCALLS, "chroot  @mount", "chroot @mount"),
    (values.SYSCALLS, "~@clock @swap", "~@clock @swap"),
    (values.RLIMIT, "1024", "1024"),
    (values.RLIMIT, "1024:4096", "1024:4096"),
    (values.RLIMIT, "0:0", "0:0"),
    (values.RLIMIT, "1024:infinity", "1024:infinity"),
    (values.RLIMIT, "infinity", "infinity"),
    (values.RLIMIT_SIZE, "1.5G:2G", "1.5G:2G"),
    (values.RLIMIT_SIZE, "1024K:1M", "1024K:1M"),
    (values.RLIMIT_SIZE, "512", "512"),
    (values.RLIMIT_CPU, "1min 30s:1h", "1min 30s:1h"),
    (values.RLIMIT_CPU, "100", "100"),
    (values.SIZE, "1G", "1G"),
    (values.SIZE, "1.5K", "1.5K"),
    (values.SIZE, "4096B", "4096B"),
    (PERCENT, "50%", "50%"),
    (PERCENT, "250.25%", "250.25%"),
    (SPAN, "30", "30"),
    (SPAN, "1h 30min", "1h 30min"),
    (SPAN, "1h30min5s100ms", "1h30min5s100ms"),
    (SPAN, "1.5 weeks", "1.5 weeks"),
    (SPAN, "2M 3y 5us 6µs", "2M 3y 5us 6µs"),
    (SPAN, "infinity", "infinity"),
    (values.SET_CREDENTIAL, "token:secret", "token:secret"),
    (values.SET_CREDENTIAL, "a.b@c:", "a.b@c:"),
    (
        values.SET_CREDENTIAL,
        r"t:a\nb\x00\\\"\'\101\u00e4\U0001f600",
        r"t:a\nb\x00\\\"\'\101\u00e4\U0001f600",
    ),
    (values.SET_CREDENTIAL, "t: a:b %i $x ", "t: a:b %i $x "),
    (values.LOAD_CREDENTIAL, "token:/srv//a:b c/", "token:/srv/a:b c"),
    (values.LOAD_CREDENTIAL, "token:other", "token:other"),
    (PRIVATE_USERS, "pick", "pick"),
    (PRIVATE_USERS, "On", "yes"),
    (PRIVATE_USERS, "no", "no"),
    (PRIVATE_USERS, "524288", "524288"),
    (PRIVATE_USERS, "524288:131072", "524288:131072"),
    (PIVOT_ROOT, "/new", "/new"),
    (PIVOT_ROOT, "/new/:/old//x", "/new:/old/x"),
    (FAMILIES, "AF_INET  AF_UNIX", "AF_INET AF_UNIX"),
    (FAMILIES, "~AF_PACKET", "~AF_PACKET"),
    (FAMILIES, "none", "none"),
    (SIGNATURE, "/srv//web.p7s", "/srv/web.p7s"),
    (SIGNATURE, "base64:AAEC+/==", "base64:AAEC+/=="),
    (HASH, "0123456789abcdefABCDEF0123456789", "0123456789abcdefABCDEF0123456789"),
    (SHELL, "true", "yes"),
    (SHELL, "/bin//sh", "/bin/sh"),
    (VOLATILE, "overlay", "overlay"),
    (VOLATILE, "1", "yes"),
    (HOSTNAME, "web.example", "web.example"),
    (BIND, "/srv", "/srv"),
    (BIND, "/srv:/data", "/srv:/data"),
    (BIND, "/srv:/data:rbind,noidmap", "/srv:/data:rbind,noidmap"),
    (BIND, r"/a\:b\\c d:/e", r"/a\:b\\c d:/e"),
    (BIND, "+/in/image:/data", "+/in/image:/data"),
    (BIND, ":/scratch", ":/scratch"),
    (TMPFS, "/tmp", "/tmp"),
    (TMPFS, "/tmp:mode=1777,size=10%", "/tmp:mode=1777,size=10%"),
    (TMPFS, r"/a\:b:ro", r"/a\:b:ro"),
    (OVERLAY, "/lower:/upper:/data", "/lower:/upper:/data"),
    (OVERLAY, "/a:/b:/c:/data", "/a:/b:/c:/data"),
    (OVERLAY, "/lower:/data", "/lower:/data"),
    (OVERLAY, "/lower::/data", "/lower::/data"),
    (OVERLAY, "+/lower:/my upper:/da\\:ta", "+/lower:/my upper:/da\\:ta"),
]

BAD: list[tuple[values.Type, str]] = [
    *((values.BOOLEAN, text) for text in ("", "2", "ja", "yes ", "enable", "y e s", "10", "truefalse")),
    *((values.PATH, text) for text in ("", "srv", "./srv", "~/srv", "/srv/..", "/a/../b", "/a\tb", "+/srv")),
    (values.PATH, f"/{LETTERS}x"),
    (values.PATH, "/" + "ä" * 128),
    (values.PATH, f"/{LETTERS}" * 16),
    *((values.MACHINE, text) for text in ("", "we_b", "web db", "-web", "a..b", "x" * 65, "web.service\n")),
    *((values.MACHINES, text) for text in ("we_b", "-web", "web-", "a..b", ".a", "a.", "a.-b", "a-.b", "ä")),
    *((values.MACHINES, text) for text in ("web db/x", "web,db", ".host", "x" * 65, "a@b", "web.service")),
    *((values.WORDS, text) for text in ("'", 'a "b', "a'b\"", "\"a'")),
    *(
        (values.ENVIRONMENT, text)
        for text in ("=1", "9A=1", "A-B=1", "A =1", "A=1 'x y'", "'A=1", "Ä=1", "a.b=1")
    ),
    *((values.USER, text) for text in ("", "-a", "a:b", "a b", "a/b", "1a", "x" * 32, "ä", "a$")),
    *((values.USERS, text) for text in ("alice bo:b", "'alice", "1000", "a.b", "alice a..b", "x" * 32)),
    *((values.MACHINES, text) for text in ("web\u00a0db", "web\u2003")),
    *((values.CPUS, text) for text in ("0\u00a01", "0,\u20032", "\u20281")),
    *((values.SYSCALLS, text) for text in ("chroot\u00a0@mount", "\u2003chroot")),
    *((values.RLIMIT_NICE, text) for text in ("-5:5", "+1:2", "40:30")),
    *((values.RLIMIT_SIZE, text) for text in ("16E", "15.5E", "99999999999E")),
    *((values.RLIMIT_CPU, text) for text in ("2:1", "2min:1min", "infinity:1s", "1.5.5s", "9999999999h")),
    *((SPAN, text) for text in ("1.5.5s", "1.2.3", "584542y", "18446744073709551615", "9" * 5000, "1." * 9)),
    *((values.SIZE, text) for text in ("16E", "999999999999999E")),
    *((BIND, text) for text in ("+", "+:/b")),
    *((OVERLAY, text) for text in ("/a:+:/c", "+:/a:/c", "+::/c", "+:/c")),
    *((values.CAPABILITIES, text) for text in ("NET_ADMIN", "CAP_X", "CAP_CHOWN,CAP_KILL", "ALL", "~all")),
    *((values.OWN_CAPABILITIES, text) for text in ("all", "CAP_CHOWN all", "12")),
    *(
        (values.SIGNAL, text)
        for text in ("", "0", "65", "-1", "015", "SIG", "SIGSIGTERM", "TERM ", "SIGCLD")
    ),
    *((values.SIGNAL, text) for text in ("RTMIN+31", "RTMAX-31", "RTMIN-1", "RTMAX+1", "RTMIN+", "RTMIN3")),
    *(
        (values.ID128, text)
        for text in ("", "0" * 32, "00000000-0000-0000-0000-000000000000", "f" * 31, "f" * 33)
    ),
    *(
        (values.ID128, text)
        for text in ("g" * 32, "ffff-" * 6 + "ffffffff", "ffffffffffffffff-ffffffffffffffff")
    ),
    *(
        (NUMBER, text)
        for text in ("", "11", "-11", "1.0", "0x1", " 1", "1 ", "+", "--1", "١", "1" * 20, "1e1", "1_0")
    ),
    *(
        (values.CPUS, text)
        for text in ("", ",", "a", "3-1", "1-", "-1", "0-1-2", "8192", "0;1", "1.5", "12345")
    ),
    *((values.SYSCALLS, text) for text in ("", "~", "a,b", "chroot ~mount", "@", "A", "a;b", "~~a", "$(x)")),
    *(
        (values.RLIMIT, text)
        for text in ("", ":", "1:", ":1", "1:2:3", "1K", "2:1", "infinity:1", "1 :2", "x", "1.5")
    ),
    *(
        (values.RLIMIT_SIZE, text)
        for text in ("", "-1", "1X", "2G:1G", "1M:1023K", "1KB", "G", "1.", ".5", "1e3")
    ),
    *((values.RLIMIT_CPU, text) for text in ("", "1 fortnight", "s", "1:2:3", "-1s", "1,5s")),
    *((values.SIZE, text) for text in ("", "1X", "50%", "-1", "infinity", "1 GB", "K", "1.5.5", "0x10")),
    *((PERCENT, text) for text in ("", "50", "%", "0%", "0.00%", "-1%", "50.123%", "50 %", "x%")),
    *(
        (SPAN, text)
        for text in ("", "s", "1x", "-1", "1,5s", "1:30", "1h-5s", "infinite", "infinity 1s", "0" * 40 + "!")
    ),
    *(
        (values.SET_CREDENTIAL, text)
        for text in ("token", ":x", "a/b:x", "..:x", ".:x", "a b:x", f"{LETTERS}x:y")
    ),
    *((values.SET_CREDENTIAL, rf"t:{end}") for end in ("\\", "\\q", "\\x1", "\\8", "\\400", "\\ud800")),
    *(
        (values.LOAD_CREDENTIAL, text)
        for text in ("token", "token:", ":/a", "token:a/b", "token:/../a", "a/b:/c")
    ),
    *(
        (PRIVATE_USERS, text)
        for text in ("", "some", "4294967294", "-1", "1:0", "1:", "1:2:3", "1:4294967295", "Pick")
    ),
    *((PIVOT_ROOT, text) for text in ("", "new", "/new:", "/new:old", ":/old", "/a:/b/..")),
    *((FAMILIES, text) for text in ("INET", "AF_INET none", "~none", "af_inet", "AF_INET,AF_UNIX", "AF_X")),
    *((SIGNATURE, text) for text in ("web.p7s", "base64:", "base64:a b", "base32:AAEC")),
    *((HASH, text) for text in ("", "0" * 30, "0" * 33, "g" * 64, "sha256:" + "0" * 64)),
    *((SHELL, text) for text in ("", "bash", "/bin/../sh")),
    *((VOLATILE, text) for text in ("", "temporary", "Overlay", "maybe")),
    *((HOSTNAME, text) for text in ("", "we_b", "a b", "-a", "a..b", "x" * 65)),
    *(
        (BIND, text)
        for text in ("", "srv", ":", "srv:/data", "/srv:data", "/srv:", "/a:/b:ro", "/a:/b:rbind:x", "/a\\")
    ),
    *(
        (BIND, text)
        for text in ("/a/..", "/a:/b/..", "+srv:/a", "/a:+/b", "+/a/..:/b", "/a\tb", "/a:/b:idmap ")
    ),
    *((TMPFS, text) for text in ("", "tmp", ":ro", "/a/..", "/a\\", "+/a")),
    *(
        (OVERLAY, text)
        for text in ("", "/a", ":/data", "/a:/b:c", "a:/b:/c", "/a:b:/c", ":/b:/c", "/a::/b:/c")
    ),
    *(
        (OVERLAY, text)
        for text in ("/a\\:b:/c:/d", "/a,b:/c:/d", "/a\\\\b:/c:/d", "/a:/b:/", "/a:/b/..:/c", "/a:")
    ),
]


@pytest.mark.parametrize(
    ("kind", "text", "expected"), GOOD, ids=[f"{row[0].name}-{row[1][:40]}" for row in GOOD]
)
def test_accepted(kind: values.Type, text: str, expected: Value) -> None:
    found = kind.parse(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("kind", "text"), BAD, ids=[f"{row[0].name}-{row[1][:40]}" for row in BAD])
def test_refused(kind: values.Type, text: str) -> None:
    """With a message and a remedy; never another value in its place."""
    with pytest.raises(BadValue) as caught:
        kind.parse(text)
    assert str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["-1", "-5:10", "-5:-1"])
@pytest.mark.parametrize("parse", [KEYS["Exec", "LimitNOFILE"].type.parse, LISTS["LimitNOFILE"]])
def test_negative_limit_is_refused(parse: Callable[[str], Value], text: str) -> None:
    """systemd ignores it in [Service], so the container runs without the limit; systemd-nspawn ends."""
    with pytest.raises(BadValue):
        parse(text)


@pytest.mark.parametrize("text", ["infinity", "41", "1024", "-21", "+20"])
@pytest.mark.parametrize("parse", [KEYS["Exec", "LimitNICE"].type.parse, LISTS["LimitNICE"]])
def test_limit_that_is_no_niceness_is_refused(parse: Callable[[str], Value], text: str) -> None:
    """Only -20 to +19, or 0 to 40 (rlimit_parse_nice()): systemd-nspawn ends at anything else."""
    with pytest.raises(BadValue):
        parse(text)


@pytest.mark.parametrize("escape", ["\\N", "\\T", "\\X41", "\\U00110000", "\\U1234"])
def test_escape_is_case_sensitive(escape: str) -> None:
    """systemd-nspawn ends at an escape that it does not know, as \\N for \\n."""
    with pytest.raises(BadValue):
        values.SET_CREDENTIAL.parse(f"token:{escape}")


def test_every_type_of_the_table_is_tried() -> None:
    """Here, in the tests of their modules, or, if it is a choice of words, in tests/errors."""
    names = {row.type.name for row in KEYS.values()}
    choices = {
        "mode",
        "ownership",
        "architecture",
        "override or full",
        "keep or stub",
        "boolean or auto",
        "iptables or nft",
    }
    elsewhere = (
        INTERFACE,
        PAIR,
        PAIRS,
        ZONE,
        PORT,
        ADDRESSES,
        GATEWAYS,
        POOLS,
        LINK_ADDRESSES,
        SERVERS,
        PEERS,
    )
    others = {kind.name for kind in elsewhere} | choices
    assert names - {row[0].name for row in GOOD} == others
    assert names - {row[0].name for row in BAD} == others | {"text"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\\ b c", ("a\\ b", "c")),
        ("'a\\' b'", ("a\\' b",)),
        ('"a\\" b" c', ('a\\" b', "c")),
        ("a\\\\ b", ("a\\\\", "b")),
        ("a\\", ("a\\",)),
    ],
)
def test_words_of_a_unit(text: str, expected: tuple[str, ...]) -> None:
    """In units a backslash protects a blank or a quote."""
    assert values.split_words(text, escapes=True) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a:b:c", ["a", "b", "c"]),
        (r"a\:b:c", ["a:b", "c"]),
        (r"a\\:b", ["a\\", "b"]),
        (r"a\\\:b", ["a\\:b"]),
        (r"a\b", ["ab"]),
        ("::", ["", "", ""]),
    ],
)
def test_split_fields(text: str, expected: list[str]) -> None:
    assert split_fields(text) == expected


@pytest.mark.parametrize(
    ("text", "source", "destination", "options"),
    [
        ("/srv", "/srv", "/srv", ()),
        ("/srv:/data", "/srv", "/data", ()),
        ("/srv:/data:rbind,idmap", "/srv", "/data", ("rbind", "idmap")),
        (r"/a\:b:/c\\d", "/a:b", "/c\\d", ()),
        ("+/a:/b", "+/a", "/b", ()),
        (":/b", "", "/b", ()),
    ],
)
def test_read_bind(text: str, source: str, destination: str, options: tuple[str, ...]) -> None:
    assert read_bind(text) == (source, destination, options)


@pytest.mark.parametrize(
    ("key", "text", "sources"),
    [
        ("Bind", "/srv//a/:/b", ("/srv/a",)),
        ("BindReadOnly", r"/a\:b", ("/a:b",)),
        ("Bind", "+/in/image:/b", ()),
        ("Bind", ":/scratch", ()),
        ("Overlay", "/a:/b:/c", ("/a", "/b")),
        ("Overlay", "/a:/c", ("/a", "/c")),
        ("OverlayReadOnly", "/a::/c", ("/a",)),
        ("OverlayReadOnly", "+/a:/b:/c", ("/b",)),
        ("TemporaryFileSystem", "/tmp", ()),
    ],
)
def test_sources_on_the_host(key: str, text: str, sources: tuple[str, ...]) -> None:
    """What has to be mounted before the container starts; not what is in the image."""
    assert list_sources(key, text) == sources


@pytest.mark.parametrize(
    ("key", "text", "target"),
    [
        ("Bind", "/srv:/data/", "/data"),
        ("BindReadOnly", "/srv", "/srv"),
        ("Bind", r"/a\:b", "/a:b"),
        ("TemporaryFileSystem", "/tmp/:mode=1777", "/tmp"),
        ("Inaccessible", "/a", "/a"),
    ],
)
def test_target_in_the_container(key: str, text: str, target: str) -> None:
    assert find_target(key, text) == target


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("SIGHUP", 1),
        ("SIGKILL", 9),
        ("SIGTERM", 15),
        ("SIGSTKFLT", 16),
        ("SIGPWR", 30),
        ("SIGSYS", 31),
        ("SIGRTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("SIGRTMIN+30", 64),
        ("SIGRTMAX", 64),
        ("SIGRTMAX-1", 63),
        ("SIGRTMAX-30", 34),
        ("15", 15),
        ("64", 64),
    ],
)
def test_number_of_a_signal(name: str, number: int) -> None:
    assert number_signal(name) == number


@pytest.mark.parametrize("name", sorted(values._SIGNALS))
def test_every_signal_has_a_number(name: str) -> None:
    assert 1 <= number_signal(str(values.SIGNAL.parse(name))) <= 31


def list_options() -> list[str]:
    """Every accepted value above as the option of every key of that type, but for names of files."""
    found = []
    for row in KEYS.values():
        if row.name in ("LoadCredential", "RootHashSignature", "LimitNICE"):
            continue
        for kind, _, value in GOOD:
            if kind is row.type and row.option and not row.since and isinstance(value, (str, tuple)):
                joined = row.option.replace("{,}", ",".join(value))
                words = [value] if isinstance(value, str) else value
                found += (
                    [joined] if "{,}" in row.option else [row.option.replace("{}", word) for word in words]
                )
    return found


@pytest.mark.skipif(ask_version() == 0, reason="systemd-nspawn is not installed")
@pytest.mark.parametrize("option", list_options(), ids=lambda option: option[:60])
def test_systemd_nspawn_takes_what_is_accepted(option: str) -> None:
    """An option that it does not take would keep the container from starting."""
    assert shutil.which("systemd-nspawn")
    result = subprocess.run(
        ["systemd-nspawn", option, "--version"], capture_output=True, text=True, timeout=10
    )
    assert (result.returncode, result.stderr) == (0, "")
