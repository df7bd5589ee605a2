r"""The results as LaTeX tables, one float per dataset, like the paper's Table 1.

The text is a document and a fragment at once: LaTeX compiles it as it is, and `\input` puts the tables into a paper,
which then needs the packages booktabs and graphicx. All text from experiments and plugins is escaped.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from miabench.reports.tables.between_defenses import duel_tables, loss_rank_tables
from miabench.reports.tables.report_tables import (
    Tabled,
    attack_tables,
    branch_tables,
    consistency_tables,
    gaps_tables,
    results_tables,
    worst_tables,
)
from miabench.reports.tables.table import Row, Table, Value, has_spread, new_names
from miabench.reports.tables.terminal_layout import plain
from miabench.reports.words import footnotes, provenance
from miabench.reports.words.alerts import turned

ROWS = 36  # of one float: more would not fit on a page with the caption and notes
# Whether a document has begun is known from a command of LaTeX that does nothing from then on.
HEAD = r"""% Tables made by miabench. LaTeX compiles this file as it is; in your own document, write \input{results}
% and load the packages booktabs and graphicx.
\expandafter\ifx\csname @nodocument\endcsname\relax\let\miabenchend\relax\else
\documentclass{article}
\usepackage[T1]{fontenc}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx}
\def\miabenchend{\end{document}}
\begin{document}
\fi
"""
# A table that is wider than the text is scaled down, not cut.
BEGIN = r"""\begin{table}[htbp]
\centering
\caption{%s}
\label{%s}
\smallskip
\small
\setlength{\tabcolsep}{4pt}
\sbox0{\begin{tabular}{@{}%s@{}}
\toprule"""
END = r"""\bottomrule
\end{tabular}}
\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi
\end{table}
"""
NOTES = r"""
{\footnotesize\setlength{\parindent}{0pt}\raggedright

%s

}
"""
GREEK = "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ"
GREEK_NAMES = """
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega
Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega
"""
SPECIAL = {
    **{char: "\\" + char for char in "{}$&#_%"},
    **{char: rf"$\{name}$" for char, name in zip(GREEK, GREEK_NAMES.split(), strict=True)},
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≈": r"$\approx$",
    "†": r"$^\dagger$",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"{\char96}",
}
LIGATURE = re.compile(r"([-',])(?=\1)")  # two of them would become a dash or a quotation mark
OPTION = re.compile(r"^(?=[\[*])")  # would belong to the line break before
# Letters of Western Europe, which every LaTeX with T1 or OT1 fonts can set.
LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ")


def to_latex(made: Tabled, made_with: str) -> str:
    """Floats with the results of each dataset, worst cases first; notes and warnings below.

    Values that the terminal stars are bold. More lines than a page holds go on in another float.

    Args:
        made: what the tables show; costs are left out.
        made_with: versions, for the caption.
    """
    reasons, summary = footnotes.Reasons(), made.summary
    said = [
        *footnotes.reading(summary, made.judged, best="bold:", spread=False),
        *provenance.protocol(summary.index.experiment),
        *([f"made with {made_with}"] if made_with else ()),
    ]
    floats = [text for table in worst_tables(made, reasons) for text in latex_floats(table, said)]
    more = [*results_tables(made, reasons), *attack_tables(made, reasons)]
    more += [*duel_tables(made.duels, summary.metric), *gaps_tables(made)]
    more += branch_tables(summary, made.branches)
    more += [*consistency_tables(made), *loss_rank_tables(made.loss_ranks())]
    spread = footnotes.spread_over(summary.index.experiment)
    floats += [text for table in more for text in latex_floats(table, [spread] if has_spread([table]) else [])]
    notes = [*footnotes.beside(summary, made.judged, reasons)]
    notes += [f"warning: {warning}" for warning in (*summary.warnings, *turned(summary, made.judged))]
    return document(floats, notes)


def document(floats: Iterable[str], notes: Iterable[str]) -> str:
    """Floats, then what must be said beside them."""
    return HEAD + "\n".join(floats) + NOTES % "\n\n".join(map(escape, notes)) + "\\miabenchend\n"


def escape(text: str) -> str:
    """Text that LaTeX sets as it is; a character that its usual fonts lack is named by its number, as U+4E2D."""
    text = "".join(_char(char) for char in unicodedata.normalize("NFC", plain(text)))
    return OPTION.sub("{}", LIGATURE.sub(r"\1{}", text))


def _char(char: str) -> str:
    if char in SPECIAL:
        return SPECIAL[char]
    return char if char.isascii() or char in LETTERS else f"U+{ord(char):04X}"


def latex_floats(table: Table, said: Sequence[str]) -> Iterator[str]:
    """One table in parts that fit a page; the best values are bold.

    Args:
        table: whose title begins the captions.
        said: sentences that end the first part's caption.
    """
    columns = "l" * len(table.names) + "r" * len(table.headers)
    header = " & ".join(map(escape, (*table.names, *table.headers))) + r" \\"
    parts = list(_parts(table))
    for number, part in enumerate(parts):
        sentences = [table.title, *(text[0].upper() + text[1:] for text in said)]
        caption = f"{table.title} (continued)." if number else ". ".join(sentences) + "."
        rows = "\n\\midrule\n".join("\n".join(_rows(section)) for section in part)
        yield "\n".join(
            [BEGIN % (escape(caption), _label(table.title, number), columns), header, r"\midrule", rows, END]
        )
        if part is not parts[-1]:
            yield "\\clearpage\n"  # LaTeX holds back few floats at a time


def _label(title: str, part: int) -> str:
    r"""What `\ref` takes: from the title, so that it stays the same when other tables come."""
    what, colon, says = title.lower().partition(": ")
    short = what + colon + re.split(r", in p| \(| \[", says)[0]
    words = "-".join(re.findall(r"[a-z0-9.]+", short))
    return f"tab:{words}" + (f"-{part + 1}" if part else "")


def _parts(table: Table) -> Iterator[list[list[Row]]]:
    """The sections in parts of at most so many rows; a section that is cut goes on in the next part."""
    rows = [(number, row) for number, section in enumerate(table.sections) for row in section]
    for start in range(0, len(rows), ROWS):
        sections = itertools.groupby(rows[start : start + ROWS], key=lambda one: one[0])
        yield [[row for _, row in own] for _, own in sections]


def _rows(section: Sequence[Row]) -> Iterator[str]:
    """A line each; a name that goes on is left blank."""
    for names, row in zip(new_names(section), section, strict=True):
        yield " & ".join([*map(escape, names), *map(_value, row.values)]) + r" \\"
        if any(value.below for value in row.values):
            yield " & ".join([*[""] * len(names), *map(_below, row.values)]) + r" \\"


def _below(value: Value) -> str:
    return rf"{{\scriptsize {escape(value.below)}}}" if value.below else ""


def _value(value: Value) -> str:
    note = "" if value.note is None else rf"\textsuperscript{{{value.note}}}"
    spread = rf" {{\scriptsize {_number(value.spread)}}}" if value.spread else ""
    text = _number(value.text) + spread
    return (rf"\textbf{{{text}}}" if value.best else text) + note


def _number(text: str) -> str:
    """A number's text, with a minus instead of a hyphen."""
    return escape(text).removeprefix("{}").replace("-", "$-$")
