"""Patterns over paths of streams (section 6.2): `*` is one segment, `**` any number of them."""


def matches(pattern: str, path: str) -> bool:
    """Whether a path is one of the pattern's.

    The places of the pattern that the path may have reached are kept together: trying each split
    of the path by itself would take for ever with many `**`.
    """
    parts = pattern.split("/")
    reached = _skip(parts, {0})
    for segment in path.split("/"):
        reached = _skip(
            parts,
            {
                n if parts[n] == "**" else n + 1
                for n in reached
                if n < len(parts) and parts[n] in ("*", "**", segment)
            },
        )
    return len(parts) in reached


def _skip(parts: list[str], reached: set[int]) -> set[int]:
    """The same, and the places behind each `**`, which may stand for nothing."""
    for n, part in enumerate(parts):
        if n in reached and part == "**":
            reached.add(n + 1)
    return reached


def literal_prefix(pattern: str) -> str:
    """The beginning that all paths of a pattern share."""
    fixed = []
    for part in pattern.split("/"):
        if part in ("*", "**"):
            break
        fixed.append(part)
    else:
        return pattern
    # `a/**` stands for `a` as well.
    return "/".join(fixed)


def readings(pattern: str) -> set[str]:
    """Texts such that a grant of all of them is a grant of each path of the pattern."""
    without = pattern.replace("/**", "").replace("**/", "")
    return {pattern, without or pattern}
