"""Text of a user's, safe to print."""


def printable(text: object) -> str:
    """The text with what a terminal would obey, and not show, spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
