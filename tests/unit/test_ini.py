"""One file to assignments: systemd's syntax through configobj, and where every line came from."""

import pytest

from unitgen.errors import MAX_PROBLEMS
from unitgen.ini import MAX_LINE, has_inline_comment, parse_document

PATH = "/etc/web.ini"

# Text to (section, key, value, line).
DOCUMENTS: dict[str, tuple[str, list[tuple[str, str, str, int]]]] = {
    "one": ("[A]\nk=v\n", [("A", "k", "v", 2)]),
    "no-line-end": ("[A]\nk=v", [("A", "k", "v", 2)]),
    "crlf": ("[A]\r\nk=v\r\nl=w\r\n", [("A", "k", "v", 2), ("A", "l", "w", 3)]),
    "bom": ("\ufeff[A]\nk=v\n", [("A", "k", "v", 2)]),
    "bom-and-crlf": ("\ufeff# comment\r\n[A]\r\nk=v\r\n", [("A", "k", "v", 3)]),
    "blanks": ("  [ A ]  \n \t k \t = \t v w \t \n", [("A", "k", "v w", 2)]),
    "blank-lines": ("\n\n[A]\n\n\nk=v\n", [("A", "k", "v", 6)]),
    "comments": ("# a\n; b\n[A]\n  # c\n\t;d=e\nk=v\n#\n", [("A", "k", "v", 6)]),
    "repeated-keys": (
        "[A]\nk=1\nk=2\nl=3\nk=1\n",
        [("A", "k", "1", 2), ("A", "k", "2", 3), ("A", "l", "3", 4), ("A", "k", "1", 5)],
    ),
    "repeated-sections": (
        "[A]\nk=1\n[B]\nk=2\n[A]\nk=3\n",
        [("A", "k", "1", 2), ("B", "k", "2", 4), ("A", "k", "3", 6)],
    ),
    "empty": ("[A]\nk=\nl=  \n", [("A", "k", "", 2), ("A", "l", "", 3)]),
    "equals": ("[A]\nk=a=b==c\n", [("A", "k", "a=b==c", 2)]),
    "hash-in-word": ("[A]\nk=a#b\nl=a;b ; c\n", [("A", "k", "a#b", 2), ("A", "l", "a;b ; c", 3)]),
    "quotes": ("[A]\nk='a' \"b\n", [("A", "k", "'a' \"b", 2)]),
    "triple-quotes": ("[A]\nk='''a\nl=b'''\n", [("A", "k", "'''a", 2), ("A", "l", "b'''", 3)]),
    "double-triple-quotes": ('[A]\nk="""a"""\nl=b\n', [("A", "k", '"""a"""', 2), ("A", "l", "b", 3)]),
    "lists": ("[A]\nk=a, b, 'c'\n", [("A", "k", "a, b, 'c'", 2)]),
    "interpolation": (
        "[A]\nk=%(l)s $l ${l} %i\nl=x\n",
        [("A", "k", "%(l)s $l ${l} %i", 2), ("A", "l", "x", 3)],
    ),
    "brackets": ("[A]\nk=[x]\nl=[[x]]\n", [("A", "k", "[x]", 2), ("A", "l", "[[x]]", 3)]),
    "unicode": ("[A]\nk=ä€\U0001f600\u2028\x85\n", [("A", "k", "ä€\U0001f600\u2028\x85", 2)]),
    "no-break-space": ("[A]\nk=\u00a0v\u00a0\n", [("A", "k", "\u00a0v\u00a0", 2)]),
    "tab-inside": ("[A]\nk=a\tb\n", [("A", "k", "a\tb", 2)]),
    "continued": ("[A]\nk=a \\\n  b\nl=c\n", [("A", "k", "a    b", 2), ("A", "l", "c", 4)]),
    "continued-thrice": ("[A]\nk=a\\\nb\\\nc\n", [("A", "k", "a b c", 2)]),
    "continued-crlf": ("[A]\r\nk=a\\\r\nb\r\n", [("A", "k", "a b", 2)]),
    "continued-key": ("[A]\nk\\\n=v\n", [("A", "k", "v", 2)]),
    "comment-in-between": (
        "[A]\nk=a \\\n# not here\n  ; nor here\nb\nl=c\n",
        [("A", "k", "a  b", 2), ("A", "l", "c", 6)],
    ),
    "continued-comment": ("[A]\n# a \\\nk=v\n", [("A", "k", "v", 3)]),
    "continued-to-the-end": ("[A]\nk=a\\\n", [("A", "k", "a", 2)]),
    "continued-to-the-end-without-line-end": ("[A]\nk=a\\", [("A", "k", "a", 2)]),
    "blank-line-ends-it": ("[A]\nk=a\\\n\nl=b\n", [("A", "k", "a", 2), ("A", "l", "b", 4)]),
    "even-backslashes": ("[A]\nk=a\\\\\nl=b\n", [("A", "k", "a\\\\", 2), ("A", "l", "b", 3)]),
    "odd-backslashes": ("[A]\nk=a\\\\\\\nb\n", [("A", "k", "a\\\\ b", 2)]),
    "blank-after-backslash": ("[A]\nk=a\\ \nl=b\n", [("A", "k", "a\\", 2), ("A", "l", "b", 3)]),
    "only-comments": ("# nothing\n", []),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_assignments(case: str) -> None:
    text, expected = DOCUMENTS[case]
    document = parse_document(text.encode(), PATH)
    assert document.problems == ()
    assert document.assignments == tuple(
        (section, key, value, PATH, line) for section, key, value, line in expected
    )


def test_sections_are_kept_without_keys() -> None:
    """So that a misspelt one is reported even if nothing stands in it."""
    document = parse_document(b"[A]\n[B]\n[A]\n", PATH)
    assert [(section.name, section.line) for section in document.sections] == [("A", 1), ("B", 2), ("A", 3)]


def test_bom_only_at_the_start() -> None:
    document = parse_document("[A]\n\ufeff[B]\nk=v\n".encode(), PATH)
    assert [(problem.code, problem.line) for problem in document.problems] == [("syntax", 2)]


@pytest.mark.parametrize(
    ("text", "code", "lines"),
    [
        ("k=v\n[A]\nk=v\n", "syntax", [1]),
        ("[A]\nk\n=v\nk=w\n", "syntax", [2, 3]),
        ("[A\nk=v\n[B]\nk=v\n", "syntax", [1]),
        ("[A]]\n", "syntax", [1]),
        ("[A] # x\n", "syntax", [1]),
        ("[]\n[ ]\n", "syntax", [1, 2]),
        ("[A\u00a0]\n[\u2003A]\n[A]\nk\u00a0=v\n", "syntax", [1, 2, 4]),
        ("[A]\na b=v\na_b=v\na:1=v\n'a'=v\n", "syntax", [2, 3, 4, 5]),
        ("[A]\nk=a \\\n b\n\nstray\n", "syntax", [5]),
        ("[A]\nstray \\\n b\nk=v\n", "syntax", [2]),
        ("[A]\nk=v # x\nl=w\nm=#\n", "inline-comment", [2, 4]),
        ("[A]\nk=a\0b\n\x1b[A]\nl=w\n", "control-character", [2, 3]),
        ("[A]\nk=a\rb\n", "control-character", [2]),
        ("[A]\nk=\uffff\n# \ufdd0\n", "encoding", [2, 3]),
        (f"[A]\nk={'x' * MAX_LINE}\nl=w\n", "too-long", [2]),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_problems_have_their_lines(text: str, code: str, lines: list[int]) -> None:
    """All of them at once, and what stands in other lines is kept."""
    document = parse_document(text.encode(), PATH)
    assert [(problem.code, problem.line) for problem in document.problems] == [
        (code, line) for line in lines
    ]
    assert all(problem.path == PATH and problem.hint for problem in document.problems)


def test_rest_of_a_broken_file_is_kept() -> None:
    document = parse_document(b"[A]\nk=\xff\nstray\nl=w\n[B\nm=x\n[C]\nn=y\n", PATH)
    assert [problem.line for problem in document.problems] == [2, 3, 5]
    assert [(item.section, item.key) for item in document.assignments] == [("A", "l"), ("C", "n")]


def test_longest_line_is_accepted() -> None:
    value = "x" * (MAX_LINE - len("k="))
    document = parse_document(f"[A]\nk={value}\n".encode(), PATH)
    assert document.problems == ()
    assert document.assignments[0].value == value


def test_cut_report_says_so() -> None:
    """Whoever corrects a hundred problems should know that there are more."""
    document = parse_document(b"[A]\n" + b"stray\n" * (MAX_PROBLEMS + 50), PATH)
    assert len(document.problems) == MAX_PROBLEMS + 1
    assert f"more than {MAX_PROBLEMS} problems" in document.problems[-1].message


@pytest.mark.parametrize(
    "value",
    [
        "yes # a",
        "yes\t# a",
        "yes #",
        "# a",
        "#",
        "'a b' # c",
        '"a # b" # c',
        "it's # a",
        "'a' 'b # c",
        "a  #b",
        "'a #b\" c",
    ],
)
def test_inline_comment(value: str) -> None:
    assert has_inline_comment(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yes",
        "a#b",
        "a# b",
        "'a # b'",
        '"a # b"',
        "'# a'",
        "a '#' b",
        "'a'#b",
        '"it\'s # a"',
        "a ; b",
        "'a #b' \"c #d\"",
    ],
)
def test_no_inline_comment(value: str) -> None:
    assert not has_inline_comment(value)
