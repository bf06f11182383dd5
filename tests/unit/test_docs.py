"""What the documents and examples say is so: the tables are fresh, commands answer as shown, specs work."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.pages import HOST_COMMANDS
from unitgen.cli import main
from unitgen.errors import CODES
from unitgen.keys import KEYS
from unitgen.model import Host
from unitgen.parse import parse_source
from unitgen.pipeline import run_pipeline
from unitgen.presence import check_presence
from unitgen.schema import NEWEST_SYSTEMD, OLDEST_SYSTEMD
from unitgen.sources import Source
from unitgen.tree import Tree

CHECKOUT = Path(__file__).parents[2]
MANUAL = CHECKOUT / "docs/unitgen.ini.5.md"
PAGES = [CHECKOUT / "README.md", *sorted(CHECKOUT.glob("docs/*.md"))]
EXAMPLES = sorted(CHECKOUT.glob("examples/*.ini"), key=lambda path: path.stem)
FOLDER = "etc/unitgen/containers"

EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
EVERY_EXAMPLE = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
EVERY_SYSTEMD = pytest.mark.parametrize("systemd", [OLDEST_SYSTEMD, NEWEST_SYSTEMD])


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str
    line: int


class Step(NamedTuple):
    """A command of a console block, and what the page shows as its output."""

    command: str
    output: str


def read_blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def read_steps(block: Block) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield Step(command, output)


class Console:
    """Follows a page: files that it shows are put below a root, commands that it shows run there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.status = 0
        for place in (FOLDER, "usr/share"):
            (self.root / place).mkdir(parents=True)

    def place(self, block: Block) -> None:
        """A block that begins with the comment `# /PATH` is that file."""
        if match := re.match(r"# (/\S+)\n", block.text):
            place = self.root / match[1].lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text)

    def run(self, step: Step) -> str | None:
        """The output of a command, or None if it cannot be run here (of other programs than ours)."""
        words = shlex.split(step.command)
        if words[0] == "unitgen":
            return self._run_unitgen(words[1:])
        if words[0] in ("mkdir", "debootstrap", "rm"):
            return self._change(words)
        if words[0] == "find":
            return subprocess.run(
                step.command, shell=True, check=True, text=True, capture_output=True
            ).stdout
        return f"{self.status}\n" if step.command == "echo $?" else None

    def _run_unitgen(self, words: list[str]) -> str:
        output = io.StringIO()
        verb = [*words[:1], f"--root={self.root}"] if not words[0].startswith("-") else words[:1]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                self.status = main([*verb, *words[1:]])
            except SystemExit as end:
                self.status = int(end.code or 0)
        return output.getvalue()

    def _change(self, words: list[str]) -> str:
        paths = [self.root / word.lstrip("/") for word in words if word.startswith("/")]
        for path in paths:
            if words[0] == "rm":
                path.unlink()
            else:
                path.mkdir(parents=True, exist_ok=True)
        return ""


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    return Console(tmp_path)


def matches(shown: str, output: str) -> bool:
    """Whether the output is what is shown, where a line of three dots stands for any lines."""
    parts = ["(.*\n)*?" if line == "...\n" else re.escape(line) for line in shown.splitlines(keepends=True)]
    return re.fullmatch("".join(parts), output) is not None


def test_generated_parts_are_fresh() -> None:
    command = [sys.executable, "docs/update.py", "--check"]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_every_problem_code_is_documented() -> None:
    part = MANUAL.read_text().partition("<!-- generated: codes -->")[2].partition("<!-- end -->")[0]
    assert re.findall("^`([a-z-]+)`$", part, re.MULTILINE) == list(CODES)


def test_every_key_is_documented_with_an_example_that_parses() -> None:
    found = []
    for section, part in re.findall(
        r"<!-- generated: keys (\w+) -->(.*?)<!-- end -->", MANUAL.read_text(), re.DOTALL
    ):
        for name, example in re.findall(r"^`(\w+)=`$.*?Example: `(.+?)`$", part, re.MULTILINE | re.DOTALL):
            found.append((section, name))
            assert example.startswith(f"{name}=")
            source = Source(
                "example", "/example.ini", (("/example.ini", f"[{section}]\n{example}".encode()),)
            )
            spec, problems = parse_source(source)
            assert not problems
            assert spec.find(section, name)
    assert found == list(KEYS)


@EVERY_PAGE
def test_commands_answer_as_shown(page: Path, console: Console) -> None:
    for block in read_blocks(page):
        console.place(block)
        for step in read_steps(block) if block.language == "console" else ():
            output = console.run(step)
            if output is not None and (step.output or not step.command.startswith("unitgen generate")):
                assert matches(step.output, output), f"{page.name}:{block.line}: {step.command}\n{output}"


@EVERY_PAGE
def test_commands_of_other_programs_are_known(page: Path, console: Console) -> None:
    """So that none is shown which no host has answered, and none is expected which is not shown."""
    steps = []
    for block in read_blocks(page):
        console.place(block)
        for step in read_steps(block) if block.language == "console" else ():
            steps += [step] if console.run(step) is None else []
    known = HOST_COMMANDS.get(page.name, {})
    assert [step.command for step in steps] == list(known)
    for step in steps:
        assert not step.output or re.match(known[step.command], step.output), step.command


@EVERY_PAGE
def test_specs_of_a_page_are_sound(page: Path, console: Console) -> None:
    for block in read_blocks(page):
        if block.language == "ini":
            assert re.match(r"# /etc/unitgen/\S+\n", block.text), f"{page.name}:{block.line} has no path"
            console.place(block)
    for outcome in run_pipeline(str(console.root), Host(OLDEST_SYSTEMD)).outcomes:
        assert not outcome.problems


@EVERY_PAGE
def test_page_has_no_other_language(page: Path) -> None:
    """A misspelt language would take a block out of the tests above."""
    assert {block.language for block in read_blocks(page)} <= {"console", "ini", "text"}


@EVERY_SYSTEMD
def test_examples_are_sound(systemd: int, console: Console) -> None:
    for example in EXAMPLES:
        (console.root / FOLDER / example.name).write_bytes(example.read_bytes())
    outcomes = run_pipeline(str(console.root), Host(systemd)).outcomes
    assert [outcome.source.name for outcome in outcomes] == [example.stem for example in EXAMPLES]
    machines = {outcome.source.name for outcome in outcomes}
    for outcome in outcomes:
        assert not outcome.problems
        missing = check_presence(outcome.spec, Tree(str(CHECKOUT.anchor)), machines)
        assert {problem.code for problem in missing} <= {"missing-image"}


@EVERY_EXAMPLE
def test_example_says_what_it_is_for(example: Path) -> None:
    header = example.read_text().partition("\n\n")[0].splitlines()
    assert len(header) > 1
    assert all(line.startswith("# ") for line in header)
    assert header[-1] in ("# demo-tree: tiny", "# demo-tree: guest")
