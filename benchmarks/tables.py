"""Results as markdown tables for people, and as JSON whose lines a diff can compare.

python -m benchmarks.tables     puts the tables of the stored results into README.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

README = Path(__file__).parent / "README.md"
RESULTS = Path(__file__).parent / "results" / "quality.json"

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
"""Between these lines of the README stand the tables of the last stored run."""

WIDTH = 100
"""A value that fits on a line of so many characters stays on it."""

COLUMNS = {
    "photos": ("flickr8k R@1", "flickr8k R@5", "flickr8k R@10", "label sets top-1"),
    "sounds": ("R@1", "R@5", "R@10", "label top-1"),
    "audio questions by sound alone": ("R@1", "R@5", "R@10"),
    "videos": ("R@1", "R@5", "R@10", "MRR"),
    "tapes": ("R1@0.3", "R1@0.5", "R1@0.7", "mIoU", "R5@0.5"),
    "tapes, by length": ("mAP", "mAP short", "mAP middle", "mAP long"),
    "refusal": ("refusal precision", "refusal recall", "refusal F1", "absent AUC"),
    "calibration": ("ECE, first hit", "Brier, first hit", "ECE, first 5 hits"),
    "composed": ("R1@0.5", "R1@0.7", "mIoU", "mAP short", "refusal F1", "absent AUC"),
}
"""Section to the figures that its table shows; the JSON has all."""


def compact(value: Any, indent: int = 0) -> str:
    """JSON with objects and lists on one line wherever they fit."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not value or not isinstance(value, dict | list):
        return line
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        rows = [
            f"{inner}{json.dumps(key, ensure_ascii=False)}: {compact(part, indent + 1)}"
            for key, part in value.items()
        ]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    rows = [inner + compact(part, indent + 1) for part in value]
    return "[\n" + ",\n".join(rows) + "\n" + " " * indent + "]"


def markdown(results: Mapping[str, Any]) -> str:
    """The headline figures with their 95 % intervals, one table a section."""
    parts = []
    for section, columns in COLUMNS.items():
        key = section.partition(",")[0]
        rows = {
            name: sections[key]
            for name, sections in results["figures"].items()
            if sections.get(key)
        }
        compared = {
            name: sections[key]
            for name, sections in results["differences"].items()
            if sections.get(key)
        }
        shown = [c for c in columns if any(c in figures for figures in rows.values())]
        if rows and shown:
            parts.append(_table(section, shown, rows, compared))
    if results.get("cuts"):
        parts.append("cuts: " + json.dumps(results["cuts"]))
    skipped = [f"- {part}: {why}" for part, why in results.get("skipped", {}).items()]
    if skipped:
        parts.append("\n".join(["skipped:", "", *skipped]))
    return "\n\n".join(parts)


def with_figures(readme: str, results: Mapping[str, Any]) -> str:
    """A text with the tables of some results between its markers."""
    machine = results["machine"]
    tree = "with uncommitted changes" if results["uncommitted changes"] else "as committed"
    source = (
        f"Commit {str(results['commit'])[:7]} ({tree}), {results['date'][:10]}, "
        f"{machine['cores']} cores of an {machine['processor']}."
    )
    block = f"{BEGIN}\n{source}\n\n{markdown(results)}\n{END}"
    return re.sub(f"{BEGIN}.*?{END}", lambda _: block, readme, flags=re.DOTALL)


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    readme = README.read_text(encoding="utf-8")
    README.write_text(with_figures(readme, results), encoding="utf-8")


def _table(
    section: str,
    columns: Sequence[str],
    rows: Mapping[str, Mapping[str, Any]],
    compared: Mapping[str, Mapping[str, Any]],
) -> str:
    lines = [
        f"| {section} | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, figures in rows.items():
        cells = [_figure(figures.get(column)) for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for name, figures in compared.items():
        cells = [_difference(figures.get(column)) for column in columns]
        lines.append(f"| *{name}* | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figure(figure: Mapping[str, Any] | None) -> str:
    """E.g. "41.2 [33.4, 49.0]"."""
    if figure is None or figure["value"] is None:
        return "–"
    low, high = figure["ci95"]
    return f"{figure['value']} [{low}, {high}]"


def _difference(figure: Mapping[str, Any] | None) -> str:
    """With its sign, and in bold where the interval leaves zero out."""
    if figure is None or figure["value"] is None:
        return "–"
    low, high = figure["ci95"]
    text = f"{figure['value']:+} [{low:+}, {high:+}]"
    return f"**{text}**" if low > 0 or high < 0 else text


if __name__ == "__main__":
    main()
