"""Text to unit syntax: exact forms, and a reader that follows systemd's rules gets back what went in."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from unitgen import escape
from unitgen.escape import Text

MAX_WORD = 128 * 1024
NONCHARACTERS = [
    *range(0xFDD0, 0xFDF0),
    *(plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF)),
]
SURROGATES = [0xD800, 0xDBFF, 0xDC00, 0xDC80, 0xDFFF]
CONTROLS = [*range(1, 0x20), 0x7F]
ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92, '"': 34, "'": 39, "s": 32}

HOSTILE = [
    "",
    " ",
    "\\",
    "\\\\",
    "a\\",
    '"',
    "'",
    "'\"'\"'",
    "%",
    "%%",
    "%i",
    "%n%h%%",
    "100%",
    "$",
    "$$",
    "$HOME",
    "${HOME}",
    "a$b",
    ";",
    "a;b",
    "\\;",
    "#",
    "a #b",
    "a\nb",
    "a\r\nb",
    "\t",
    "\x01\x02\x1b\x7f",
    "\\n",
    "\\x41",
    "\\u0041",
    "-a",
    "@a",
    ":a",
    "+a",
    "!a",
    "|a",
    "a=b",
    "ä€\U0001f600",
    "\x85\u2028\u00a0",
    "*?[a]~{b}`c`",
    "[Service]",
    "a\nExecStart=/bin/evil",
    "a\rExecStart=/bin/evil",
]


def read_word(text: str, dollar: bool) -> str:
    """One word as systemd reads it: extract_first_word(), cunescape(), unit_name_printf(), replace_env()."""
    if not text.startswith('"'):
        assert not set(text) & set(" \t\n\"'\\%$;#") and text
        return text
    assert text.endswith('"')
    found: list[str] = []
    chars = iter(text[1:-1])
    for char in chars:
        assert char != '"', "the word ends early"
        assert char >= " ", "the line ends early"
        if char == "\\":
            code = next(chars)
            char = chr(int(next(chars) + next(chars), 16) if code == "x" else ESCAPES[code])
        elif char == "%" or (char == "$" and dollar):
            assert next(chars) == char, "a specifier or variable"
        found.append(char)
    return "".join(found)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain", "plain"),
        ("/usr/bin/a-b_c.d", "/usr/bin/a-b_c.d"),
        ("--bind=/a:/b,c@d+e~f", "--bind=/a:/b,c@d+e~f"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a\\", '"a\\\\"'),
        ("\\\\", '"\\\\\\\\"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("it's", '"it\'s"'),
        ("50%", '"50%%"'),
        ("$HOME", '"$$HOME"'),
        ("${A}$", '"$${A}$$"'),
        ("a\nb", '"a\\nb"'),
        ("a\tb", '"a\\tb"'),
        ("a\rb", '"a\\rb"'),
        ("\x01", '"\\x01"'),
        ("\x0b", '"\\x0b"'),
        ("\x1f", '"\\x1f"'),
        ("\x7f", '"\\x7f"'),
        ("\x80", '"\x80"'),
        (";", '";"'),
        ("#", '"#"'),
        ("ä", '"ä"'),
        ("\U0001f600", '"\U0001f600"'),
    ],
)
def test_quote_word(word: str, expected: str) -> None:
    assert escape.quote_word(word) == expected


@pytest.mark.parametrize("word", HOSTILE, ids=ascii)
def test_quoted_word_reads_back(word: str) -> None:
    quoted = escape.quote_word(word)
    assert isinstance(quoted, Text)
    assert read_word(quoted, dollar=True) == word


@pytest.mark.parametrize("code", CONTROLS, ids=hex)
def test_every_control_reads_back(code: int) -> None:
    word = f"a{chr(code)}0b"  # a digit after it shows that the escape has a fixed length
    assert read_word(escape.quote_word(word), dollar=True) == word


@pytest.mark.parametrize("make", [escape.quote_command, escape.quote_line])
def test_command_is_one_logical_line(make: Callable[[list[str]], Text]) -> None:
    """However hostile, a command has no line of its own but those that a backslash joins."""
    lines = make(HOSTILE).split("\n")
    assert all(line.endswith(" \\") for line in lines[:-1])
    words = "".join(line.removesuffix("\\") for line in lines)
    assert words.replace("     ", " ") == " ".join(map(escape.quote_word, HOSTILE))


def test_line_has_no_line_break() -> None:
    assert "\n" not in escape.quote_line(HOSTILE)


@pytest.mark.parametrize("code", [0, *NONCHARACTERS, *SURROGATES], ids=hex)
@pytest.mark.parametrize(
    "function",
    [escape.quote_word, escape.quote_path, escape.raw_path, escape.free_text, escape.native, escape.plain],
)
def test_what_systemd_refuses_is_refused(function: Callable[[str], Text], code: int) -> None:
    """One such character and systemd drops the whole unit, or ends the line in its middle."""
    with pytest.raises(ValueError):
        function(f"/a{chr(code)}b")


@pytest.mark.parametrize("char", ["a", "ä", "€", "\U0001f600"])
def test_word_fits_the_kernel(char: str) -> None:
    """MAX_ARG_STRLEN counts bytes, and the NUL at the end."""
    size = len(char.encode())
    longest = char * ((MAX_WORD - 1) // size)
    assert read_word(escape.quote_word(longest), dollar=True) == longest
    with pytest.raises(ValueError, match="128 KiB"):
        escape.quote_word(longest + char)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/web", "/srv/web"),
        ("/srv/my web", '"/srv/my web"'),
        ("/a\\b", '"/a\\\\b"'),
        ("/a\\", '"/a\\\\"'),
        ('/a"b', '"/a\\"b"'),
        ("/a'b", '"/a\'b"'),
        ("/50%", '"/50%%"'),
        ("/$HOME", '"/$HOME"'),
        ("/ä", '"/ä"'),
        ("/a;#b", '"/a;#b"'),
    ],
)
def test_quote_path(path: str, expected: str) -> None:
    """No C escapes here, and `$` is only a dollar."""
    assert escape.quote_path(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/web", "/srv/web"),
        ("/srv/my web", "/srv/my web"),
        ("/50%i", "/50%%i"),
        ("/$HOME", "/$HOME"),
        ('/a"b', '/a"b'),
        ("/a\\", "/a\\ "),
        ("/a\\\\", "/a\\\\"),
        ("/a\\\\\\", "/a\\\\\\ "),
        ("/a\\b", "/a\\b"),
    ],
)
def test_raw_path(path: str, expected: str) -> None:
    assert escape.raw_path(path) == expected


@pytest.mark.parametrize("function", [escape.quote_path, escape.raw_path])
@pytest.mark.parametrize("code", CONTROLS, ids=hex)
def test_path_has_no_control(function: Callable[[str], Text], code: int) -> None:
    """These directives have no escape for it."""
    with pytest.raises(ValueError, match="control"):
        function(f"/a{chr(code)}b")


@pytest.mark.parametrize("path", [" /a", "/a ", "\u00a0/a"])
def test_raw_path_has_no_blank_at_its_ends(path: str) -> None:
    with pytest.raises(ValueError, match="blank"):
        escape.raw_path(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My web server", "My web server"),
        ("  padded \t", "padded"),
        ("a\nb\rc\td\x7fe", "a b c d e"),
        ("100%", "100%%"),
        ("%i", "%%i"),
        ("$HOME 'n\" # ;", "$HOME 'n\" # ;"),
        ("a\\n", "a\\n"),
        ("a\\", "a\\ "),
        ("a\\\\", "a\\\\"),
        ("a\\\n", "a\\ "),
        ("", ""),
    ],
)
def test_free_text(text: str, expected: str) -> None:
    assert escape.free_text(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"A=1 2" B=%i', '"A=1 2" B=%i'),
        ("a\tb", "a\tb"),
        ("/bin/sh -c 'echo $$HOME'", "/bin/sh -c 'echo $$HOME'"),
        ("a\\", "a\\ "),
        ("a\\\\", "a\\\\"),
        ("", ""),
    ],
)
def test_native(value: str, expected: str) -> None:
    """Unit syntax already: nothing is escaped, and no value swallows the line below it."""
    assert escape.native(value) == expected


@pytest.mark.parametrize("code", [code for code in CONTROLS if chr(code) != "\t"], ids=hex)
def test_native_has_no_control(code: int) -> None:
    with pytest.raises(ValueError, match="control"):
        escape.native(f"a{chr(code)}b")


@pytest.mark.parametrize("text", ["web", "web-1.example", "10", "MemoryMax", "ve-averyverUARo"])
def test_plain_passes(text: str) -> None:
    assert escape.plain(text) == text


@pytest.mark.parametrize(
    "text", ["", "a b", "a%", "a$b", "a\\", "a'b", 'a"b', "a;b", "a\n", "ä", "a|b", "a`b"]
)
def test_plain_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="needs escaping"):
        escape.plain(text)


@pytest.mark.parametrize("function", [escape.comment, escape.make_printable])
def test_comment_is_one_line_that_can_be_written(function: Callable[[str], str]) -> None:
    codes = [0, *CONTROLS, *NONCHARACTERS, *SURROGATES]
    text = function("a" + "".join(map(chr, codes)) + "ä%$\\z")
    assert text == "a" + "".join("\t" if code == 9 else "\ufffd" for code in codes) + "ä%$\\z"
    assert text.encode()


def test_comment_does_not_swallow_the_next_line() -> None:
    """systemd joins no lines in comments, so a backslash at the end is harmless there."""
    assert escape.comment("/srv/a\\") == "/srv/a\\"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_reads_all_of_it(tmp_path: Path) -> None:
    """The words and paths above in one real unit, and systemd has nothing to say."""
    paths = [
        f"/srv/{word.replace('/', '')}x"
        for word in HOSTILE
        if not any(char < " " or char == "\x7f" for char in word)
    ]
    lines = [
        "[Unit]",
        *(f"Description={escape.free_text(word)}" for word in HOSTILE),
        *(f"RequiresMountsFor={escape.quote_path(path)}" for path in paths),
        *(f"SourcePath={escape.raw_path(path)}" for path in paths),
        "[Service]",
        f"ExecStart={escape.quote_command(['/bin/true', *HOSTILE])}",
    ]
    (tmp_path / "hostile.service").write_text("\n".join(lines) + "\n")
    command = ["systemd-analyze", "verify", "--man=no", "hostile.service"]
    environment = os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("", "")
