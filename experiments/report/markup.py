"""Markup: HTML and SVG elements whose texts are always escaped."""

import html

__all__ = ["Markup", "element", "join"]


class Markup(str):
    """Text that is markup already. Any other text is escaped where it enters an element."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """Return `<name ...>children</name>`.

    Args:
        name: Of the element.
        children: Markup as it is, other texts escaped.
        attributes: Escaped values; None leaves an attribute out. A trailing underscore is dropped
            (`class_`), an inner one becomes a dash (`stroke_width`).
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            written = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
            key = key.rstrip("_").replace("_", "-")
            parts.append(f'{key}="{html.escape(str(written), quote=True)}"')
    return Markup(f"<{' '.join(parts)}>{join(*children)}</{name}>")


def join(*children: str) -> Markup:
    """Return texts one after the other, escaped where they are not markup."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(child, quote=False)
            for child in children
        )
    )
