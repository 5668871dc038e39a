"""Tables on a terminal: whatever its width, every cell is shown whole.

Where a table is too wide its words are wrapped first; where that is not enough, its columns stand in several tables one
under the other, each with the columns that say what a row is.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

_GAP = 2  # between columns
_BELONGS = ("(", "95 %", "held out")  # a column whose title begins so stays beside the one before it


def print_table(table: Table, keys: Sequence[int] = (0,)) -> None:
    """Print a table on stdout so that no cell is cut.

    Args:
        table: its cells are text, with markup; of its own looks only titles and alignment are kept.
        keys: places of the columns that say what a row is; they come first in each part.
    """
    from cfgan_cli.output import console

    terminal = console()
    first = [table.columns[k] for k in keys if k < len(table.columns)]
    others = _together([column for k, column in enumerate(table.columns) if k not in keys])
    whole = [*table.columns]
    if _least(terminal, whole) <= terminal.width or not others:
        terminal.print(_fitted(terminal, whole))
        return
    part: list[Column] = []
    parts = [part]
    for group in others:
        if part and _least(terminal, [*first, *part, *group]) > terminal.width:
            part = []
            parts.append(part)
        part.extend(group)
    for number, columns in enumerate(parts):
        if number:
            terminal.print()
        terminal.print(_fitted(terminal, [*first, *columns]))


def new_table(*titles: str, left: Container[str] = ()) -> Table:
    """A table without lines; its first column and those called ``left`` are of words, the others of figures."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for k, title in enumerate(titles):
        table.add_column(title, justify="left" if k == 0 or title in left else "right")
    return table


def _together(columns: Sequence[Column]) -> list[list[Column]]:
    groups: list[list[Column]] = []
    for column in columns:
        if groups and str(column.header).strip().startswith(_BELONGS):
            groups[-1].append(column)
        else:
            groups.append([column])
    return groups


def _least(terminal: Console, columns: Sequence[Column]) -> int:
    """The width below which a number or a word would be cut."""
    return sum(_bounds(terminal, column)[0] for column in columns) + _GAP * (len(columns) - 1)


def _bounds(terminal: Console, column: Column) -> tuple[int, int]:
    """The least and the widest that a column can use: figures stay on one line, words may be wrapped at blanks."""
    from rich.text import Text

    title = Text.from_markup(str(column.header)).__rich_measure__(terminal, terminal.options)
    cells = [Text.from_markup(str(cell)).__rich_measure__(terminal, terminal.options) for cell in column.cells]
    widest = max([title.maximum, *(cell.maximum for cell in cells)])
    whole = column.justify == "right" or column.no_wrap
    least = max([title.minimum, *(cell.maximum if whole else cell.minimum for cell in cells)])
    return min(least, max(1, terminal.width // 2)), widest


def _fitted(terminal: Console, columns: Sequence[Column]) -> Table:
    """A table of these columns no wider than the terminal; what room is left goes to the least wishes first."""
    from rich.table import Table

    bounds = [_bounds(terminal, column) for column in columns]
    widths = [least for least, _ in bounds]
    spare = terminal.width - sum(widths) - _GAP * (len(columns) - 1)
    for place in sorted(range(len(columns)), key=lambda k: bounds[k][1] - bounds[k][0]):
        more = max(0, min(spare, bounds[place][1] - widths[place]))
        widths[place], spare = widths[place] + more, spare - more
    while spare < 0:  # names as long as a line: they are folded
        widest = max(range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= 1:
            break
        widths[widest], spare = widths[widest] - 1, spare + 1
    shown = Table(box=None, pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        shown.add_column(column.header, justify=column.justify, width=width, overflow="fold")
    for row in zip(*(list(column.cells) for column in columns), strict=True):
        shown.add_row(*row)
    return shown
