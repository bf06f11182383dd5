"""A few hundred specs full of hostile text, and what each asks for: for systemd itself to read."""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import NamedTuple

from tests.property.texts import FRAGMENTS
from unitgen.escape import FORBIDDEN
from unitgen.ini import has_inline_comment

_SEED = 7
_LETTERS = "ab \t\"'\\%$;#=:,/{}[]()<>|&!@~*?^`-+.éß☃\u00a0\u2003\u2028\u202e\U0001f600"


class Asked(NamedTuple):
    """A spec, and what systemd has to know of its service.

    `argv` stands in one piece in the command line; `mounts` and `environment` are all that the unit has.
    """

    spec: bytes
    argv: tuple[str, ...] = ()
    description: str = ""
    environment: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()


def make_words(count: int) -> list[str]:
    """Every fragment that a spec can hold, and words made of them and of single characters."""
    random = Random(_SEED)
    sound = [text for text in dict.fromkeys(FRAGMENTS) if not FORBIDDEN.search(text)]
    words = ["", *sound]
    while len(words) < count:
        parts = random.choices(sound, k=random.randint(0, 2)) + random.choices(
            _LETTERS, k=random.randint(0, 9)
        )
        random.shuffle(parts)
        words.append("".join(parts))
    return words


WORDS = make_words(300)
NAMES = [
    word
    for word in dict.fromkeys(f"x{word.replace('/', '')}e" for word in WORDS)
    if len(word.encode()) < 200 and not set("\t,") & set(word) and not has_inline_comment(word)
]
"""Words that can be the name of a file in a value which knows no quotes."""


def quote(word: str) -> str:
    """A word in the syntax of systemd.nspawn(5): quotes of both kinds, no escapes."""
    return "".join(f"'{part}'" if part != "'" else '"\'"' for part in word.replace("'", "\0'\0").split("\0"))


def quote_unit(word: str) -> str:
    """A word in the syntax of units, each character of it that could mean something as a number."""
    safe = (char if char.isalnum() and char.isascii() else _number(char) for char in word)
    return f'"{"".join(safe)}"'


def _number(char: str) -> str:
    return "%%" if char == "%" else f"\\x{ord(char):02x}" if ord(char) < 128 else f"\\U{ord(char):08x}"


def escape_colons(path: str) -> str:
    """A path in a field of a bind mount."""
    return path.replace("\\", "\\\\").replace(":", "\\:")


def _split(words: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(words), 10):
        yield words[start : start + 10]


def _ask(section: str, key: str, value: str) -> Asked:
    start = "[Container]\nAutostart=no\n[Network]\nVirtualEthernet=no\n"
    return Asked(f"{start}[{section}]\n{key}={value}\n".encode())


def _list_parameters() -> Iterator[Asked]:
    for words in _split(WORDS):
        yield _ask("Exec", "Parameters", " ".join(map(quote, words)))._replace(argv=("--", *words))


def _list_environments() -> Iterator[Asked]:
    for words in _split(WORDS):
        pairs = [f"V{number}={word}" for number, word in enumerate(words)]
        argv = tuple(f"--setenv={pair}" for pair in pairs)
        yield _ask("Exec", "Environment", " ".join(map(quote, pairs)))._replace(argv=argv)


def _list_descriptions() -> Iterator[Asked]:
    for word in NAMES[::5]:
        yield _ask("Container", "Description", f"{word} ")._replace(description=word)


def _list_directories() -> Iterator[Asked]:
    for name in NAMES[1::5]:
        asked = _ask("Container", "Directory", f"/srv/{name}")
        yield asked._replace(argv=(f"--directory=/srv/{name}",), mounts=(f"/srv/{name}",))


def _list_binds() -> Iterator[Asked]:
    for names in _split([*NAMES[2::5], *NAMES[3::5], *NAMES[4::5]]):
        values = [f"{escape_colons(f'/srv/{name}')}:{escape_colons(f'/mnt/{name}')}" for name in names]
        asked = _ask("Files", "Bind", "\nBind=".join(values))
        argv = tuple(f"--bind={value}" for value in values)
        yield asked._replace(argv=argv, mounts=tuple(f"/srv/{name}" for name in names))


def _list_natives() -> Iterator[Asked]:
    for words in _split(WORDS):
        pairs = [f"V{number}={word}" for number, word in enumerate(words)]
        lines = "\nEnvironment=".join(map(quote_unit, pairs))
        yield _ask("Service", "Environment", lines)._replace(environment=tuple(pairs))


_KINDS: Mapping[str, Callable[[], Iterator[Asked]]] = {
    "parameters": _list_parameters,
    "environment": _list_environments,
    "description": _list_descriptions,
    "bind": _list_binds,
    "directory": _list_directories,
    "native": _list_natives,
}


def make_batch() -> dict[str, Asked]:
    """All that are sound, by the name of the container."""
    return {
        f"hostile-{kind}-{number}": asked
        for kind, ask in _KINDS.items()
        for number, asked in enumerate(ask())
    }


def make_refused() -> dict[str, bytes]:
    """Specs with what no unit can hold, each in a word, a text, a path and a directive."""
    wrong = [text for text in FRAGMENTS if FORBIDDEN.search(text)]
    keys = ("Exec]\nParameters", "Container]\nDescription", "Files]\nBind", "Service]\nEnvironment")
    return {
        f"refused-{number}-{place}": f"[{key}=/{text}x\n".encode("utf-8", "surrogatepass")
        for number, text in enumerate(wrong)
        for place, key in enumerate(keys)
    }
