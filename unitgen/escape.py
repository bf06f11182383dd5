"""The only place where text becomes unit-file syntax (systemd.syntax(7), systemd.service(5)).

Every function returns `Text`; the renderer accepts nothing else, so that a string cannot reach a
unit without having passed here. The rules were tried on systemd 247 to 262.
"""

import re
from collections.abc import Iterable, Mapping

_SAFE_WORD = re.compile(r"[A-Za-z0-9_@+=:,./~-]+")
_NAMED_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
# U+FDD0..U+FDEF and U+xxFFFE/F: systemd calls these noncharacters invalid UTF-8 and drops the whole unit.
_NONCHARS = "\ufdd0-\ufdef" + "".join(
    chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF)
)
_SURROGATES = "\ud800-\udfff"
_INVALID = re.compile(f"[\0{_SURROGATES}{_NONCHARS}]")
FORBIDDEN = re.compile(f"[\0-\x08\x0a-\x1f\x7f{_SURROGATES}{_NONCHARS}]")
"""What may not stand in a line of a spec or a unit: controls but the tab, and what systemd calls invalid."""
_CONTROLS = re.compile("[\0-\x1f\x7f]")
_MAX_WORD = 128 * 1024  # MAX_ARG_STRLEN of the kernel, the terminating NUL included


class Text(str):
    """Text that is valid where a directive's value stands."""

    __slots__ = ()


def _escape_char(char: str) -> str:
    if char in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[char]
    if char < " " or char == "\x7f":
        return f"\\x{ord(char):02x}"
    return char


def _check(text: str) -> str:
    # Neither controls, surrogates nor noncharacters are printable: to ask that first is ten times as fast.
    found = None if text.isprintable() else _INVALID.search(text)
    if found:
        raise ValueError(f"U+{ord(found[0]):04X} cannot be passed through systemd")
    return text


def _quote(text: str, dollar: str) -> str:
    escaped = _check(text).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", dollar)
    return f'"{escaped if escaped.isprintable() else "".join(map(_escape_char, escaped))}"'


def quote_word(word: str) -> Text:
    """One argument of an Exec line; arrives byte for byte. Raises ValueError for what cannot be passed."""
    if len(word.encode("utf-8", "surrogatepass")) >= _MAX_WORD:
        raise ValueError("longer than 128 KiB, the kernel's limit for one argument")
    if _SAFE_WORD.fullmatch(word):
        return Text(word)
    return Text(_quote(word, "$$"))


def quote_command(words: Iterable[str]) -> Text:
    """A command line, one word to a line where it gets long, as people write them in units."""
    return Text(" \\\n    ".join(map(quote_word, words)))


def quote_line(words: Iterable[str]) -> Text:
    """A command line on one line."""
    return Text(" ".join(map(quote_word, words)))


def quote_path(path: str) -> Text:
    """A path for a directive that unquotes but knows no C escapes: RequiresMountsFor=, DeviceAllow=."""
    _refuse_controls(path)
    if _SAFE_WORD.fullmatch(path):
        return Text(path)
    return Text('"' + _check(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"')


def raw_path(path: str) -> Text:
    """A path for a directive that takes the line as it is: SourcePath=."""
    _refuse_controls(path)
    if path != path.strip():
        raise ValueError("a path that begins or ends with a blank cannot be written here")
    return _guard_backslash(_check(path).replace("%", "%%"))


def free_text(text: str) -> Text:
    """Text for people, as Description=: controls become blanks, `%` stays itself."""
    blanked = "".join(" " if char < " " or char == "\x7f" else char for char in _check(text))
    return _guard_backslash(blanked.strip().replace("%", "%%"))


def comment(text: str) -> Text:
    """Text after a `#`: one line, whatever it holds."""
    return Text(make_printable(text))


def native(value: str) -> Text:
    """A value already in unit syntax, from a section that is passed through; checked to be one line."""
    _refuse_controls(value.replace("\t", " "))
    return _guard_backslash(_check(value))


def plain(text: str) -> Text:
    """Names and numbers that need no escaping; raises ValueError if they would."""
    if not _SAFE_WORD.fullmatch(text):
        raise ValueError(f"{text!r} needs escaping")
    return Text(text)


def plain_words(words: Iterable[str]) -> Text:
    """Names that need no escaping, separated by blanks."""
    return Text(" ".join(map(plain, words)))


def assignment(name: str, value: str) -> Text:
    """NAME=VALUE for Environment=, which knows quotes, C escapes and specifiers, and leaves `$` alone."""
    return Text(_quote(f"{name}={value}", "$"))


def input_line(line: str) -> Text:
    """A line for StandardInputText=, which resolves C escapes and specifiers."""
    _refuse_controls(line)
    return _guard_backslash(_check(line).replace("\\", "\\\\").replace("%", "%%"))


def fill_marks(lines: tuple[Text, ...], names: Mapping[str, str]) -> tuple[Text, ...]:
    """Lines with names in the place of marks; raises ValueError for a name that would need escaping."""
    block = "\n".join(lines)
    for mark, name in names.items():
        block = block.replace(mark, plain(name))
    return tuple(map(Text, block.split("\n")))


def _guard_backslash(text: str) -> Text:
    # An odd number of backslashes at the end would join the next line; a blank prevents it and is
    # stripped by systemd (config_parse()).
    trailing = len(text) - len(text.rstrip("\\"))
    return Text(text + " " if trailing % 2 else text)


def _refuse_controls(text: str) -> None:
    if not text.isprintable() and _CONTROLS.search(text):
        raise ValueError("a control character cannot be written here")


def make_printable(text: str) -> str:
    """Text that may quote anything as one line that can be written: what cannot becomes U+FFFD."""
    return FORBIDDEN.sub("�", text)
