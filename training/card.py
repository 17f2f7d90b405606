"""The model card of a bundle that somebody made of their own pictures."""

from collections import Counter
from collections.abc import Mapping, Sequence

from training.bundle import Title
from training.photos import Photo

Figures = Mapping[str, Sequence[float]]
"""Percentages by name: of the finished bundle, or of the base and then of the finished bundle."""


def card(
    title: Title, photos: Sequence[Photo], base: str | None, judged: Mapping[str, Figures]
) -> str:
    """Markdown; `base` is the bundle that was adapted, None where all was learnt anew."""
    counts = Counter(photo.split for photo in photos)
    pictures = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test"))
    begun = (
        f"The bundle {base}, whose picture head went on learning; its sentence side is the same to "
        "the byte."
        if base
        else "Learnt anew from the public towers EfficientNet-Lite2 and all-MiniLM-L6-v2."
    )
    return (
        "\n\n".join(
            [
                f"# {title.name}: {title.title}",
                begun,
                f"Pictures by split: {pictures}. No picture and no caption is in the bundle.",
                "## Terms",
                f"The towers: Apache-2.0. The weights learnt here: {title.terms}.",
                "## Quality",
                *(_judged(split, counts[split], figures) for split, figures in judged.items()),
                *(() if judged else ("Not judged.",)),
                "What it finds on other pictures was not measured. English only.",
            ]
        )
        + "\n"
    )


def _judged(split: str, pictures: int, figures: Figures) -> str:
    two = any(len(values) > 1 for values in figures.values())
    head = "before | after" if two else "percent"
    rows = [f"| {split}, {pictures} pictures, percent | {head} |", "| --- |" + " --- |" * (1 + two)]
    rows += [
        f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} |"
        for name, values in figures.items()
    ]
    return "\n".join(rows)


def table(figures: Figures) -> str:
    """Lines for the terminal, such as `  folder top-1   40.6 → 71.3 %`."""
    width = max(map(len, figures), default=0)
    return "\n".join(
        f"  {name:{width}}  {' → '.join(f'{value:.1f}' for value in values)} %"
        for name, values in figures.items()
    )
