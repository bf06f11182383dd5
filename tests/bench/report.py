"""docs/bench.md: text by hand, and between two marks each what a part has measured."""

import datetime
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
PAGE = CHECKOUT / "docs/bench.md"
PICTURE = CHECKOUT / "docs/bench.svg"


class ReportError(Exception):
    """The page has no place for a part."""


def put(page: str, part: str, found: str) -> str:
    """The page with what a part has found between the marks for it."""
    begin, end = f"<!-- bench: {part} -->\n", f"<!-- end: {part} -->"
    before, mark, rest = page.partition(begin)
    _, other, after = rest.partition(end)
    if not mark or not other:
        raise ReportError(f"docs/bench.md lacks the lines {begin.strip()} and {end}")
    return f"{before}{begin}\n{found.strip()}\n\n{end}{after}"


def write(part: str, found: str) -> None:
    """Put what a part has found into the page; all of it, or nothing if something fails."""
    text = put(PAGE.read_text(), part, found)
    new = PAGE.with_name(".bench.md.new")
    new.write_text(text)
    new.rename(PAGE)


def circumstances(tree: Path, packages: Sequence[str], machine: str = "") -> str:
    """When, on what, and with which versions a part was measured."""
    versions = ", ".join(f"{name} {version(tree, name)}" for name in packages)
    today = datetime.date.today().isoformat()
    return f"{today}, {machine or this_machine()}, unitgen {commit()}, {versions}."


def this_machine() -> str:
    """What kind of machine this is."""
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    kind = "virtual machine" if re.search(r"^flags\s*:.*\bhypervisor\b", text, re.MULTILINE) else "machine"
    name = re.sub(r"\((R|TM)\)", "", model[1]).strip() if model else os.uname().machine
    return f"{kind} with {os.cpu_count()} CPUs ({name}), Linux {os.uname().release}"


def version(tree: Path, package: str) -> str:
    """The version of a package in a tree of Debian."""
    query = ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "--show", "--showformat=${Version}", package]
    found = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return re.sub(r"^\d+:|[-+~].*$", "", found) or "unknown"


def commit() -> str:
    """The commit of the checkout, and whether the code that is measured differs from it."""
    git = ["git", "-C", os.fspath(CHECKOUT), "-c", f"safe.directory={CHECKOUT}"]
    name = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", "unitgen", "packaging", "templates"], capture_output=True
    ).stdout
    return f"{name or 'of no commit'}{' with changes' if changed else ''}"
