"""Values of keys that become options, which unitgen lets through: for systemd-nspawn to judge."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from tests.property.reader import BLANKS
from tests.property.texts import ROWS, read_examples
from tests.property.verdicts import change_value
from unitgen.errors import BadValue
from unitgen.escape import FORBIDDEN
from unitgen.ini import has_inline_comment
from unitgen.model import Host, Setting, Spec, Value
from unitgen.nspawn import build_command
from unitgen.rules import _NEEDS
from unitgen.schema import Key
from unitgen.versions import check_versions

_MOST = 60
_EMPTY = Spec("web", "/etc/unitgen/containers/web.ini", (), {})
_SEEDS = """
    0 1 -1 +5 1:2 2:1 infinity infinity:1 1:infinity 1K:1K 1K 999999999999999E 99999999999E 1.5K
    1s:2s 2min:1min 1.5.5s 9999999999h 5:-5 -5:5 -5:+5 +5:-5 40 30:40 40:30 0:0 64 65 65536 65536:0
    65536:1 4294967293 4294967293:10 /a:/b /a:/b:idmap /a:/b:rbind,norbind /a:/b: /a:: +/a:/b :/b
    ::rbind +:/b /a\\:b:/c /tmp: /tmp:mode=1777 /a:/b:/c /a:/b:/c:/d /a::/c :/b:/c /a:+/b:/c id:
    id:\\x41 id:a:b SIGTERM term SIGRTMIN+3 RTMAX-1 all cap_mknod @mount ~@mount foo_bar 0-3 0,2
    8191 x86-64
""".split()
# Depend on what the host has, or are looked at before the tree is.
_ELSEWHERE = """
    Directory Image Template MStack OCIBundle Interface MACVLAN IPVLAN LoadCredential SELinuxContext
    SELinuxApifsContext NamespacePath ForwardJournal PrivateUsersDelegate
""".split()


class Option(NamedTuple):
    """A value of a key, and the arguments that it becomes."""

    key: str
    value: str
    words: tuple[str, ...]


@cache
def list_options(version: int) -> tuple[Option, ...]:
    """Everything to be tried on a systemd of this version."""
    needing = {key for _, key, _ in _NEEDS}
    rows = [row for row in ROWS if row.option and row.since <= version and row.name not in _ELSEWHERE]
    return tuple(option for row in rows if row.name not in needing for option in _list_values(row, version))


def _list_values(row: Key, version: int) -> Iterator[Option]:
    seeds = (*read_examples().get(row.id, ()), *_SEEDS)
    values = dict.fromkeys(
        changed.strip(BLANKS) for value in seeds for changed in (value, *change_value(value))
    )
    found: dict[tuple[str, ...], Option] = {}
    for value in values:
        option = _make_option(row, value, version)
        if option and option.words:
            found.setdefault(option.words, option)
    options = list(found.values())
    named = [option for option in options if option.value in seeds]
    return iter(dict.fromkeys([*named, *options[:: len(options) // _MOST + 1]]))


def _make_option(row: Key, value: str, version: int) -> Option | None:
    if not value or FORBIDDEN.search(value) or has_inline_comment(value):
        return None
    try:
        parsed: Value = row.type.parse(value)
    except BadValue:
        return None
    spec = _EMPTY._replace(settings={row.id: Setting(*row.id, (parsed,), (value,), (("", 1),))})
    if any(problem.is_error for problem in check_versions(spec, Host(version))):
        return None
    # Up to 257 --bind-user= asks for this one beside it.
    usual = {*build_command(_EMPTY, Host(version))} - ({"-U"} if row.name == "BindUser" else set())
    words = tuple(word for word in build_command(spec, Host(version)) if word not in usual)
    return Option(row.name, value, words)
