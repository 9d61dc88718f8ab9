"""What a report is made of, and its files."""

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from dsn_lab.data.formats.cells import is_number
from dsn_lab.storage import written_whole

LONG_TABLE = 40  # rows
NONE = "–"
LONG_CELL = 40  # characters
TYPOGRAPHY = {"±": r"$\pm$", "–": "--", "−": "$-$", "×": r"$\times$", "†": r"\dag{}"}
ESCAPED = {c: f"\\{c}" for c in "%_#&${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
# What makes a spreadsheet take a cell for a formula.
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def escaped(text: str) -> str:
    """Text as LaTeX prints it: none of it is a command."""
    return "".join(ESCAPED.get(character, character) for character in text)


def write_csv(data: pd.DataFrame, path: Path) -> None:
    """Write numbers and text; no text is a formula to whoever opens the file."""
    safe = data.map(_no_formula).rename(columns=_no_formula)
    with written_whole(path) as temporary:
        safe.to_csv(temporary, index=False)


def _no_formula(cell: object) -> object:
    text = isinstance(cell, str) and cell.startswith(FORMULAS)
    return f"'{cell}" if text and not is_number(str(cell)) else cell


@dataclass(frozen=True)
class Table:
    """A table for people, and the numbers behind it.

    Attributes:
        name: of its files, without ending.
        caption: what it shows and on what it rests.
        display: the cells as text.
        data: the numbers, a row an observation.
        left: columns that are text, besides the first, which names the row.
        marks: classes of single cells by (row, column) position: ``best``, ``warn``.
        links: of single cells, folders below the results.
    """

    name: str
    caption: str
    display: pd.DataFrame
    data: pd.DataFrame
    left: tuple[str, ...] = ()
    marks: dict[tuple[int, int], str] = field(default_factory=dict)
    links: dict[tuple[int, int], str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write ``<name>.csv`` (the numbers) and ``<name>.tex`` (booktabs)."""
        write_csv(self.data, folder / f"{self.name}.csv")
        with written_whole(folder / f"{self.name}.tex") as temporary:
            temporary.write_text(self.latex())

    def latex(self) -> str:
        """The table for a paper; needs the packages booktabs and, if long, longtable."""
        style = self.display.style.hide(axis="index").format(escape="latex")
        text = style.format_index(escape="latex", axis=1).to_latex(
            hrules=True,
            caption=escaped(self.caption),
            label=f"tab:{self.name}",
            column_format="".join("l" if self.is_text(c) else "r" for c in self.display.columns),
            environment="longtable" if len(self.display) > LONG_TABLE else "table",
        )
        for character, command in TYPOGRAPHY.items():
            text = text.replace(character, command)
        return str(text)

    def is_text(self, column: str) -> bool:
        """Whether a column is text, not numbers."""
        return column == self.display.columns[0] or column in self.left

    def rows(self) -> list[list[tuple[str, str, str]]]:
        """The cells, row by row: text, classes and link."""
        texts = [self.is_text(column) for column in self.display.columns]
        return [
            [
                (
                    cell,
                    " ".join(filter(None, [self.marks.get((i, j)), _kind(cell, texts[j])])),
                    quote(self.links.get((i, j), "")),
                )
                for j, cell in enumerate(row)
            ]
            for i, row in enumerate(self.display.itertuples(index=False))
        ]


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        name: of its file, without ending.
        caption: what it shows and on what it rests.
        alt: the same for those who cannot see it.
        png: the image.
        width: in CSS pixels.
        data: the numbers it shows, a row an observation.
    """

    name: str
    caption: str
    alt: str
    png: bytes
    width: int
    data: pd.DataFrame

    def write(self, folder: Path) -> None:
        """Write ``<name>.png``, ``<name>.csv`` and ``<name>.tex``, which includes the image."""
        with written_whole(folder / f"{self.name}.png") as temporary:
            temporary.write_bytes(self.png)
        write_csv(self.data, folder / f"{self.name}.csv")
        caption = escaped(self.caption)
        for character, command in TYPOGRAPHY.items():
            caption = caption.replace(character, command)
        with written_whole(folder / f"{self.name}.tex") as temporary:
            temporary.write_text(
                "\\begin{figure}\n\\centering\n"
                f"\\includegraphics[width=\\linewidth]{{{self.name}.png}}\n"
                f"\\caption{{{caption}}}\n\\label{{fig:{self.name}}}\n\\end{{figure}}\n"
            )

    @property
    def source(self) -> str:
        """The image within the page."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, a few words, tables and pictures."""

    key: str
    title: str
    text: str
    items: list[Table | Picture]


def _kind(cell: str, text: bool) -> str:
    """The class of a cell: numbers have none, text that is long may be wrapped."""
    if not text:
        return ""
    return "text long" if len(cell) > LONG_CELL else "text"


def picture(name: str, caption: str, alt: str, figure: Figure, data: pd.DataFrame) -> Picture:
    """Draw a figure at twice the page's resolution."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=192, bbox_inches="tight", facecolor="white")
    png = buffer.getvalue()
    # A PNG's width in pixels stands in bytes 16 to 19.
    width = int.from_bytes(png[16:20], "big") // 2
    return Picture(name, caption, alt, png, width, data)
