"""How good the answers are: right photo, right sound, right video, right moment, honest refusals.

    python -m benchmarks.quality [--only PART] [--encoder NAME] [--head NAME] [--quick]

Measures every encoder with every head on the measuring set of $REELSEEK_VIDEOS, the test photos
and the test sounds; nothing is ever trained or tuned on them. What is not here is skipped, with
the reason. benchmarks/README.md says what each figure means.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

from benchmarks import composed, footage_sound, photo_set, search_figures, sound_set, tables
from benchmarks.archives import Footage, Library
from benchmarks.contenders import (
    ENCODERS,
    HEADS,
    Contender,
    Skipped,
    encoder_bundle,
    models_with_part_1,
    moment_head,
)
from benchmarks.cuts import cuts_found
from benchmarks.footage import footage_folder
from benchmarks.measures import bootstrap
from benchmarks.measures.bootstrap import RESAMPLES, SEED, Figure
from benchmarks.provenance import provenance
from benchmarks.search_figures import CALIBRATION, REFUSAL, TAPES, VIDEOS, Measured
from benchmarks.tables import RESULTS, compact, markdown
from indexer.encoders.choice import picture_encoder
from search.text.choice import text_encoder
from storage.bundles import DEFAULT_ENCODER
from storage.records import EncoderStamp, SoundStamp

SHARED = Path(__file__).resolve().parents[2] / "shared"

SEARCHES = (VIDEOS, TAPES, REFUSAL, CALIBRATION)
PARTS = ("photos", "sounds", *SEARCHES, "cuts", "composed")

QUICK_CLIPS, QUICK_OF_EACH, QUICK_RESAMPLES = 12, 60, 200


@dataclass(eq=False)
class Run:
    """What is asked for, and what came of it."""

    options: argparse.Namespace
    no_part_1: str | None
    """Why lite 1.0 cannot be had."""
    scratch: Path
    measured: dict[str, Measured] = field(default_factory=dict)
    """By what was measured: an encoder, a sound tower, or a contender."""
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    """Name of an encoder, head or sound tower to its name with version and fingerprint."""
    cuts: dict[str, float] = field(default_factory=dict)

    @property
    def resamples(self) -> int:
        return QUICK_RESAMPLES if self.options.quick else RESAMPLES

    @property
    def most(self) -> int | None:
        """Photos of each source, and sounds, that are looked at; None for all."""
        return QUICK_OF_EACH if self.options.quick else None

    def wants(self, part: str) -> bool:
        return part in self.options.only

    def note(self, name: str, section: str, figures: Mapping[str, Figure]) -> None:
        """Keep the figures of one section of what was measured, beside those that it has."""
        sections = self.measured.setdefault(name, Measured()).figures
        sections.setdefault(section, {}).update(figures)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part; note why it cannot be measured here."""
        began, cpu_s = time.monotonic(), time.process_time()
        try:
            yield
        except Skipped as reason:
            self.skipped[name] = str(reason)
        self.seconds[name] = round(time.monotonic() - began, 1)
        cpu_s = time.process_time() - cpu_s
        print(f"{name}: {self.seconds[name]} s, CPU {cpu_s:.1f} s", file=sys.stderr, flush=True)


def main() -> None:
    options = _options()
    with (
        tempfile.TemporaryDirectory() as scratch,
        models_with_part_1(Path(scratch, "models")) as no_part_1,
    ):
        run = Run(options, no_part_1, Path(scratch))
        measure(run)
    results = results_of(run)
    print(markdown(results))
    if out := options.out or (None if options.partial else RESULTS):
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(compact(results) + "\n", encoding="utf-8")
        print(f"\nwritten: {out}", file=sys.stderr)
    if out == RESULTS:
        tables.main()


def measure(run: Run) -> None:
    """All parts that are asked for."""
    library: Library | None = None
    with run.part("footage"):
        footage = Footage.read(footage_folder())
        if run.options.quick:
            footage = footage.smaller(QUICK_CLIPS)
        library = Library(footage, run.options.archives or run.scratch, run.no_part_1)
    if run.wants("photos"):
        measure_photos(run)
    if run.wants("sounds"):
        measure_sounds(run, library)
    if library is not None and any(map(run.wants, SEARCHES)):
        measure_searches(run, library)
    if library is not None and run.wants("cuts"):
        with run.part("cuts"):
            made = [library.snapshot(run.options.encoder[-1], name) for name in library.archives]
            run.cuts = cuts_found(made, library.footage.folder, library.footage.name_of).as_json()
    if run.wants("composed"):
        measure_composed(run)
    if library is not None:
        run.skipped |= library.notes


def measure_photos(run: Run) -> None:
    with run.part("photos"):
        photos = photo_set.test_photos(run.options.images, run.most)
        for name in run.options.encoder:
            with run.part(f"photos with {name}"):
                bundle = encoder_bundle(name, run.no_part_1)
                run.models[name] = stamped(bundle.stamp)
                text = text_encoder(bundle)
                encoder = picture_encoder(bundle)
                vectors = photo_set.encode_photos(run.options.images, photos, encoder)
                run.note(name, "photos", photo_set.retrieval(photos, vectors, text))
                with run.part(f"names of photos with {name}"):
                    run.note(name, "photos", photo_set.naming(photos, vectors, text))


def measure_sounds(run: Run, library: Library | None) -> None:
    with run.part("sounds"):
        encoder = encoder_bundle(DEFAULT_ENCODER, run.no_part_1)
        bundle, words = sound_set.tower(sound_set.DEFAULT_TOWER, encoder)
        run.models[bundle.manifest.name] = stamped(bundle.stamp)
        text = text_encoder(encoder)
        if library is not None:
            with run.part("sounds of the footage"):
                heard = footage_sound.figures(library.footage, bundle, words, text)
                run.note(bundle.manifest.name, "audio questions by sound alone", heard)
        sounds = sound_set.test_sounds(run.options.sounds, run.most)
        found = sound_set.figures(run.options.sounds, sounds, bundle, words, text)
        run.note(bundle.manifest.name, "sounds", found)


def measure_searches(run: Run, library: Library) -> None:
    """Every encoder with every head, without sound and, where the archive keeps it, with it."""
    parts = [part for part in SEARCHES if run.wants(part)]
    for contender in contenders(run.options.encoder, run.options.head, (False, True)):
        with run.part(contender.name):
            run.measured[contender.name] = search_figures.measure(library, contender, parts)
            run.models |= {
                contender.encoder: stamped(library.bundle(contender.encoder).stamp),
                contender.head: library.head_id(contender),
            }


def measure_composed(run: Run) -> None:
    """Archives of test photos, with every encoder and head, without sound."""
    images, cache = run.options.images, (run.options.archives or run.scratch) / "looks"
    with run.part("composed"):
        photos = photo_set.test_photos(images, run.most)
        for name in run.options.encoder:
            with run.part(f"composed with {name}"):
                bundle = encoder_bundle(name, run.no_part_1)
                trials = QUICK_OF_EACH if run.options.quick else composed.TRIALS
                archives = composed.Composed(bundle, images, photos, cache, trials)
                for contender in contenders([name], run.options.head, (False,)):
                    with run.part(f"composed: {contender.name}"):
                        head = moment_head(contender.head, bundle, None)
                        run.note(contender.name, "composed", archives.figures(head))


def contenders(
    encoders: Iterable[str], heads: Iterable[str], hears: Iterable[bool]
) -> Iterator[Contender]:
    for encoder, head, with_sound in product(encoders, heads, hears):
        yield Contender(encoder, head, with_sound)


def results_of(run: Run) -> dict[str, Any]:
    """As JSON."""
    estimates = partial(bootstrap.estimates, resamples=run.resamples)
    return {
        **provenance(),
        "bootstrap": {"resamples": run.resamples, "seed": SEED, "interval": "95 %, percentile"},
        "models": run.models,
        "figures": {
            name: {section: estimates(found) for section, found in measured.figures.items()}
            for name, measured in run.measured.items()
        },
        "differences": differences(run),
        "details": {name: m.details for name, m in run.measured.items() if m.details},
        "cuts": run.cuts,
        "skipped": run.skipped,
        "seconds": run.seconds,
    }


def differences(run: Run) -> dict[str, dict[str, Any]]:
    """What changes where only one thing changes: the encoder, the head, or whether it hears."""
    found: dict[str, dict[str, Any]] = {}
    options = run.options
    of_encoders = [(name, name) for name in options.encoder if name in run.measured]
    of_searches = [
        (contender, contender.name)
        for contender in contenders(options.encoder, options.head, (False, True))
        if contender.name in run.measured
    ]
    pairs = [(before[1], after[1]) for before, after in combinations(of_encoders, 2)]
    pairs += [
        (before[1], after[1])
        for before, after in combinations(of_searches, 2)
        if before[0].differs_by_one(after[0])
    ]
    for before, after in pairs:
        ours, theirs = run.measured[after].figures, run.measured[before].figures
        found[f"{after} minus {before}"] = {
            section: bootstrap.differences(ours[section], theirs[section], run.resamples)
            for section in ours
            if section in theirs
        }
    return found


def stamped(stamp: EncoderStamp | SoundStamp) -> str:
    """E.g. "lite-1.0 (0a1b2c3d)"."""
    return f"{stamp.encoder_id} ({stamp.fingerprint[:8]})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=(__doc__ or "").splitlines()[0]
    )
    add = partial(parser.add_argument, action="append", default=None)
    add("--only", choices=PARTS, help="a part to measure; can be given again (default: all)")
    add("--encoder", metavar="NAME", help=f"can be given again (default: {', '.join(ENCODERS)})")
    add("--head", metavar="NAME", help=f"can be given again (default: {', '.join(HEADS)})")
    parser.add_argument(
        "--images", type=Path, default=SHARED / "images", help="photos, laid out as shared/images"
    )
    parser.add_argument(
        "--sounds", type=Path, default=SHARED / "sounds", help="sounds, laid out as shared/sounds"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a little of everything, to see that it runs"
    )
    parser.add_argument(
        "--archives", type=Path, help="keep the archives of the footage here, for the next run"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help=f"results (default: {RESULTS.name} of a run that measures everything)",
    )
    options = parser.parse_args()
    options.partial = bool(options.quick or options.only or options.encoder or options.head)
    options.only = options.only or PARTS
    options.encoder = options.encoder or ENCODERS
    options.head = options.head or HEADS
    return options


if __name__ == "__main__":
    main()
