"""Did you mean ...?"""

from collections.abc import Iterable


def suggest(word: str, known: Iterable[str]) -> str:
    """The known word nearest to a mistyped one, or nothing."""
    # Only what is wrong needs it, and boot waits.
    from difflib import get_close_matches  # noqa: PLC0415

    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""
