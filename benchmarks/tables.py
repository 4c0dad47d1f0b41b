"""Make the tables of the documentation from the result files.

    python benchmarks/tables.py [--check]

In each page of ``docs``, what stands between ``<!-- table: NAME -->`` and
``<!-- end -->`` is replaced by the table NAME of ``_layouts``, made from the files in
``benchmarks/results``. The commit of each row is a column, unless all are of the newest
commit in any table, and so is the machine, unless it is the same for all; where the
columns differ instead, they are the last row. Printed are the files that each table is
made from. ``--check`` writes nothing, and exits with 1 if a page differs from its
result files or a file is missing.
"""

import argparse
import re
import sys
from decimal import Decimal
from itertools import product
from operator import itemgetter
from pathlib import Path
from statistics import mean
from string import Formatter

from _layouts import TABLES
from _results import RESULTS, described, read

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


class Figure(float):
    """A number in a table; the format ``.3s`` is three digits without an exponent.

    An integer zero is exact and has no sign; a float that rounds to zero has one.
    """

    def __new__(cls, value):
        figure = super().__new__(cls, value)
        figure.value = value
        return figure

    def __format__(self, spec):
        if spec.endswith("s"):
            return f"{Decimal(format(float(self), spec[:-1] + 'g')):f}"
        if isinstance(self.value, int):
            return format(self.value, spec.lstrip("+") if self == 0 else spec)
        return format(float(self), spec)


def load(folder):
    """All rows of all result files, each with its file and what is known of its run."""
    records = []
    for path in sorted(folder.glob("*.json")):
        for run in read(path)["runs"]:
            commit = run["commit"] and run["commit"] + " + changes" * bool(run["dirty"])
            about = {
                "file": path.stem,
                "commit": commit,
                "date": run["date"] or "",
                "machine": described(run["machine"]),
                "note": run.get("note") or "",
            }
            records += [about | row for row in run["rows"]]
    return records


def find(records, where, used):
    """The record with these values, or None; it is added to ``used``."""
    found = [
        record
        for record in records
        if all(record.get(name) == value for name, value in where.items())
    ]
    if len(found) > 1:
        raise ValueError(f"{len(found)} rows are of {where}")
    used += found
    return found[0] if found else None


def fill(templates, record):
    """The first of the templates that the record has all numbers for, or nothing."""
    for template in [templates] if isinstance(templates, str) else templates:
        names = {name for _, name, *_ in Formatter().parse(template) if name}
        values = {name: record.get(name) for name in names}
        if None not in values.values():
            figures = {
                name: value if isinstance(value, str) else Figure(value)
                for name, value in values.items()
            }
            text = template.format(**figures)
            text = re.sub(r"(?<![\d.])0(?=\.\d)", "", text)
            return re.sub(r"e([-+])0(?=\d)", r"e\1", text)
    return ""


def make_cell(template, where, records):
    """Text of a cell, and the records that it is made from."""
    used = []
    if callable(template):
        return template(lambda **more: find(records, where | more, used)), used
    names, values = where.keys(), where.values()
    cases = product(*(v if isinstance(v, tuple) else (v,) for v in values))
    found = [find(records, dict(zip(names, case, strict=True)), used) for case in cases]
    cells = [fill(template, record) if record else "" for record in found]
    return " / ".join(cells) if any(cells) else "", used


def render(table, records, newest):
    """The table as Markdown, without rows and columns that have no figure."""
    grid = [
        [
            make_cell(
                row.text or column.text or table.text,
                table.where | row.where | column.where,
                records,
            )
            for column in table.columns
        ]
        for row in table.rows
    ]
    rows = [i for i, cells in enumerate(grid) if any(text for text, _ in cells)]
    columns = [j for j, cells in enumerate(zip(*grid, strict=True)) if any(
        text for text, _ in cells
    )]  # fmt: skip
    used = [[grid[i][j][1] for j in columns] for i in rows]
    marks, sentences = notes(used)
    header = [table.corner, *(table.columns[j].label for j in columns)]
    body = [
        [table.rows[i].label + mark, *(grid[i][j][0] for j in columns)]
        for i, mark in zip(rows, marks, strict=True)
    ]
    header, body = with_source("commit", used, {newest}, header, body)
    header, body = with_source("machine", used, None, header, body)
    lines = [header, ["---"] * len(header), *body]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"\n{text}\n{'; '.join(sentences)}.\n\n" if sentences else f"\n{text}\n"


def with_source(name, used, unsaid, header, body):
    """Header and body with the commits or machines, in a column or in the last row.

    Nothing is added where there is but one, which is in ``unsaid`` (``None``: any).
    """

    def distinct(cells):
        return dict.fromkeys(record[name] for records in cells for record in records)

    by_row = [distinct(cells) for cells in used]
    by_column = [distinct(cells) for cells in zip(*used, strict=True)]
    values = {value for found in by_row for value in found}
    if len(values) < 2 and (unsaid is None or values <= unsaid):
        return header, body

    def shown(found):
        text = ", ".join(filter(None, found))
        return re.sub(r"\b[0-9a-f]{7,}\b", r"`\g<0>`", text)

    if mean(map(len, by_column)) < mean(map(len, by_row)):
        empty = [""] * (len(header) - 1 - len(by_column))
        return header, [*body, [name, *map(shown, by_column), *empty]]
    body = [[*line, shown(found)] for line, found in zip(body, by_row, strict=True)]
    return [*header, name], body


def notes(used):
    """Marks of the rows, and below the table its one machine and the notes of runs."""
    machines, rows_of = {}, {}
    for i, cells in enumerate(used):
        for record in (record for records in cells for record in records):
            machines[record["machine"]] = None
            for note in record["note"].split("; "):
                rows_of.setdefault(note, {})[i] = None
    rows_of.pop("", None)
    marks = [""] * len(used)
    sentences = [*filter(None, machines)] if len(machines) == 1 else []
    for note in [note for note, rows in rows_of.items() if len(rows) == len(used)]:
        sentences.append(note)
        del rows_of[note]
    for mark, (note, rows) in zip("¹²³⁴⁵⁶⁷⁸⁹", rows_of.items(), strict=False):
        sentences.append(f"{mark} {note}")
        for i in rows:
            marks[i] += f" {mark}"
    return marks, sentences


def main(folder=RESULTS, docs=DOCS, arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(arguments).check
    records, wrong = load(folder), []
    known = {file for table in TABLES.values() for file in table.files()}
    shown = [record for record in records if record["file"] in known]
    newest = max(shown, key=itemgetter("date"), default={"commit": None})["commit"]

    def made(block):
        start, name, before, end = block.groups()
        table = TABLES[name]
        files = sorted(table.files())
        missing = [file for file in files if not (folder / f"{file}.json").exists()]
        print(f"{name}: {', '.join(files)}")
        wrong.extend(f"{name}: {file}.json is missing" for file in missing)
        after = render(table, records, newest) if not missing else before
        if check and after != before:
            wrong.append(f"{name} differs from its result files")
        return start + after + end

    for page in sorted(docs.glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = BLOCK.sub(made, before)
        if after != before and not check:
            page.write_text(after, encoding="utf-8")
    for file in sorted({record["file"] for record in records} - known):
        print(f"{file}: in no table")
    print("\n".join(wrong), file=sys.stderr, end="\n" * bool(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
