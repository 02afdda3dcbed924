"""ipywidgets keeps every widget for ever; what a cell showed is closed when the cell runs again."""

from typing import Any, Protocol


class Closable(Protocol):
    """What shows widgets in a cell and can give them back."""

    def close(self) -> None: ...


_shown: dict[str, tuple[str, list[Closable]]] = {}


def close_earlier_run(owner: Closable) -> None:
    """Close what the same cell showed when it was run before, `owner` itself excepted."""
    from IPython import get_ipython

    parent = getattr(get_ipython(), "get_parent", dict)() or {}
    cell, run = parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id")
    if cell is None:  # not in a notebook that names its cells
        return
    earlier_run, owners = _shown.get(cell, (run, []))
    if earlier_run != run:
        for earlier in owners:
            if earlier is not owner:
                earlier.close()
        owners = []
    _shown[cell] = (run, [*owners, owner])


def close_all(widgets: list[Any]) -> None:
    """Close these widgets with their layouts and styles, which ipywidgets keeps when it closes a widget."""
    for widget in widgets:
        for owned in (widget, widget.layout, getattr(widget, "style", None)):
            if owned is not None:
                owned.close()
