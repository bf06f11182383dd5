"""Figures as text."""

from collections.abc import Sequence

from tests.bench.generators import Figures


def ratio(times: float) -> str:
    """How many times something else: two digits after the point up to ten, one from there on."""
    return f"{times:.2f}" if times < 10 else f"{times:.1f}"


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds, with as many digits as mean something."""
    return f"{seconds * 1e3:.1f}" if seconds < 1 else f"{seconds * 1e3:,.0f}"


def generators(found: dict[int, dict[str, Figures]]) -> list[list[str]]:
    """A row for each number of specs and candidate, the headings first."""
    rows = [["specs", "", "CPU ms", "times Quadlet", "wall ms", "times Quadlet", "files"]]
    for count, candidates in found.items():
        for name, one in candidates.items():
            cpu = [milliseconds(one.cpu), ratio(one.cpu_ratio)]
            wall = [milliseconds(one.wall), ratio(one.wall_ratio)]
            rows.append([f"{count:,}", name, *cpu, *wall, f"{one.files:,}"])
    return rows


def growth(found: dict[int, dict[str, Figures]]) -> list[list[str]]:
    """What one more spec costs at the two highest numbers of specs, each against the one before."""
    *_, low, middle, high = sorted(found)
    rows = [["CPU of a spec in µs", f"{low:,} to {middle:,}", f"{middle:,} to {high:,}", "times as much"]]
    for name in found[middle]:
        first, second = (
            (found[b][name].cpu - found[a][name].cpu) / (b - a) for a, b in ((low, middle), (middle, high))
        )
        # A program that does not look at specs differs by chance only.
        if first > 10e-6:
            rows.append([name, f"{first * 1e6:,.0f}", f"{second * 1e6:,.0f}", ratio(second / first)])
    return rows


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table in Markdown that can be read as it stands: numbers to the right, headings first."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [[fit(cell, width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    marks = ["-" * (width - 1) + (":" if is_number(rows[1][i]) else "-") for i, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], marks, *lines[1:]]) + "\n"


def fit(cell: str, width: int) -> str:
    """A cell in its column."""
    return cell.rjust(width) if is_number(cell) else cell.ljust(width)


def is_number(cell: str) -> bool:
    """Whether it is set to the right."""
    return cell.replace(",", "").replace(".", "").isdigit()
