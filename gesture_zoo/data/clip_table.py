"""Your own clips by a table: ``train.csv`` with the columns ``path,label[,start,end][,depth_path]``."""

from __future__ import annotations

from pathlib import Path

from .listing import ClipRecord, Listing, cells_of, inside, numbered_lines, utf8_fault, whole_number
from .media import media

COLUMNS = ("path", "label", "start", "end", "depth_path")


def read_table(path: Path, root: Path, class_names: list[str] | None = None, source: object = "") -> Listing:
    """The clips of a table.

    ``path`` and ``depth_path``: a video or a folder of frames, relative to ``root``. ``start`` and ``end``: the first
    frame and the one after the last, counted from 0, of both; empty for the whole. Classes are those of
    ``class_names``, which ``source`` names, or else all labels of the table in alphabetical order.
    """
    listing = Listing(class_names or [])
    # Its lines one by one: a quote that is never closed would else swallow the rest of the file.
    lines = list(numbered_lines(path))
    if not lines:
        listing.problem("malformed", path, f"an empty table: expected the header {','.join(COLUMNS[:2])}")
        return listing
    header = cells_of(lines[0][1]) or []
    if not set(header) <= set(COLUMNS) or len(set(header)) < len(header) or not {"path", "label"} <= set(header):
        what = f"the header has to be 'path,label[,start,end][,depth_path]', not {lines[0][1][:120]!r}{_hint(header)}"
        listing.problem("malformed", f"{path}, line {lines[0][0]}", what)
        return listing
    rows = []
    for number, line in lines[1:]:
        where, cells = f"{path}, line {number}", cells_of(line)
        if fault := utf8_fault(line):
            listing.problem("malformed", where, fault)
        elif cells is None:
            listing.problem("malformed", where, "quotes enclose whole values, and are closed in the same line")
        elif not any(cells):
            continue  # an empty row, as a spreadsheet writes it
        elif len(cells) != len(header):
            listing.problem("malformed", where, f"{len(cells)} values for the {len(header)} columns {','.join(header)}")
        elif fault := _fault(row := dict(zip(header, cells, strict=True))):
            listing.problem("malformed", where, fault)
        elif class_names is not None and row["label"] not in class_names:
            listing.problem("label", where, f"the class {row['label'][:80]!r} is not in {source}")
        else:
            rows.append(row)
    if class_names is None:
        listing.class_names = sorted({row["label"] for row in rows})
    index = {name: label for label, name in enumerate(listing.class_names)}
    for row in rows:
        start, stop = whole_number(row.get("start", "")) or 0, whole_number(row.get("end", ""))
        clip, pair = inside(row["path"]), inside(row.get("depth_path", ""))
        depth = None if pair is None else media(root / pair, start, stop)
        span = "" if stop is None and not start else f"[{start}:{'' if stop is None else stop}]"
        rgb = media(root / str(clip), start, stop)
        listing.records.append(ClipRecord(rgb, depth, index[row["label"]], f"{clip}{span}"))
    return listing


def _hint(header: list[str]) -> str:
    """What may be wrong with a header, if it can be told."""
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            return f": values are separated by commas, not {name}"
    if set(COLUMNS[:2]) <= {cell.lower() for cell in header} and not set(header) <= set(COLUMNS):
        other = [cell for cell in header if cell.lower() not in COLUMNS]
        return f": a column {other[0][:80]!r} is not known" if other else ": the names of columns are in small letters"
    return ""


def _fault(row: dict[str, str]) -> str:
    """What is wrong with a row, or nothing."""
    for key in ("path", "depth_path"):
        if (key == "path" or row.get(key)) and inside(row.get(key, "")) is None:
            return f"{key} {row.get(key, '')[:80]!r} has to be a path inside the folder of the table"
    start, end = row.get("start", ""), row.get("end", "")
    if any(text and whole_number(text) is None for text in (start, end)):
        return f"start {start[:20]!r} and end {end[:20]!r} are frame numbers from 0, or empty"
    if end and (whole_number(start) or 0) >= (whole_number(end) or 0):
        return f"start {start or 0} and end {end}: the end is the frame after the last, and has to be larger"
    return "" if row["label"] else "no class name"
