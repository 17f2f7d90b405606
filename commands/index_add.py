"""`reelseek index add`"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.options import db_option
from commands.text import clock, counted, printable, shown_path
from indexer.timeline import DEFAULT_OVERLAP_S, overlap_clips
from storage.bundles import FITS, installed
from storage.errors import MediaNotFound, SomeVideosFailed

if TYPE_CHECKING:  # what decodes and detects is loaded by a run, not by --help
    from indexer.intake import Handled
    from indexer.scenes import SceneSettings


def _scene_settings(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> SceneSettings:
    from indexer.scenes import DEFAULT, SceneSettings

    try:
        return SceneSettings.parse(value) if value else DEFAULT
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _overlap(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    try:
        overlap_clips(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


@click.command(
    epilog="""\b
    Examples:
      reelseek index add video.mp4
      reelseek index add /mnt/films --recursive
      reelseek index add tape.mov --db /mnt/archive/dbs --scenes content:27
      reelseek index add video.mp4 --db clip-dbs --encoder clip --sound cnn14
    """
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@click.option(
    "--recursive", "-r", is_flag=True, help="Index the videos in folders, all the way down."
)
@click.option(
    "--scenes",
    callback=_scene_settings,
    metavar="DETECTOR",
    help="How cuts are found, by PySceneDetect's detectors: content[:THRESHOLD], adaptive[:RATIO], "
    "or content27, PySceneDetect's own default.  [default: content:31]",
)
@click.option(
    "--segment-overlap",
    default=DEFAULT_OVERLAP_S,
    show_default=True,
    callback=_overlap,
    metavar="SECONDS",
    type=float,
    help="How much neighbouring 150 s segments share, so that a moment on a border is found whole.",
)
@click.option(
    "--again", is_flag=True, help="Index also what is in the archive already, as asked for now."
)
@click.option(
    "--encoder",
    metavar="NAME",
    help="What turns pictures into vectors: lite, a model that `models import` brought, a Hugging "
    "Face folder, or a name on its hub.  [default: the archive's own; lite for a new one]",
)
@click.option(
    "--fit",
    type=click.Choice(FITS),
    help="How a picture is brought to the network's square: centre-crop, as official CLIP does, "
    "loses what is at the sides; letterbox and squash keep the whole frame.  [default: the "
    "encoder's own]",
)
@click.option(
    "--precision",
    type=click.Choice(("auto", "float32", "bfloat16", "float16")),
    default="auto",
    show_default=True,
    help="Of a brought encoder; auto takes half precision where this machine is quick at it.",
)
@click.option(
    "--sound",
    metavar="NAME",
    help="What hears: lite-sound, a sound model that `models import` brought, or none.  [default: "
    "the archive's own; for a new one lite-sound beside lite, none beside another encoder]",
)
@db_option
def add(
    paths: tuple[Path, ...],
    recursive: bool,
    scenes: SceneSettings,
    segment_overlap: float,
    again: bool,
    encoder: str | None,
    fit: str | None,
    precision: str,
    sound: str | None,
    db: Path,
) -> None:
    """Index videos, so that their moments can be searched for.

    Films are read, never written to. Files that have not changed since the last run are skipped
    at once; a file that was moved keeps what is known of it. One that cannot be read is reported
    and the rest goes on (exit code 3 at the end). Searching works meanwhile.
    """
    from commands.progress import progress_for
    from indexer.encoders.choice import (
        choose_pictures,
        choose_sound,
        picture_encoder,
        sound_encoder,
    )
    from indexer.finding import find_files
    from indexer.intake import Intake
    from indexer.pipeline import IndexSettings
    from storage.archive import Archive, stamps_of

    found = find_files(paths, recursive, db)
    if not found.files and not found.unreadable:
        raise MediaNotFound("There is no video in what was named: films are known by their suffix.")
    made_with = stamps_of(db)
    pictures = choose_pictures(_brought(encoder), fit, made_with[0] if made_with else None)
    hearing = choose_sound(sound, pictures, made_with)
    archive = Archive.create_or_open(db, pictures.stamp, hearing.stamp if hearing else None)
    if archive.created:
        click.echo(f"Made a new archive in {db.absolute()}", err=True)
    began = time.monotonic()
    intake = Intake(
        archive,
        picture_encoder(pictures, precision),
        IndexSettings(scenes, segment_overlap),
        progress_for(len(found.files)),
        again,
        sound_encoder(hearing) if hearing else None,
    )
    for error in found.unreadable:
        click.echo(f"Error: {printable(str(error))}", err=True)
    outcomes = []
    for handled in intake.add(found.files):
        if handled.error is not None and len(found.files) == 1 and not found.unreadable:
            raise handled.error
        _report(handled)
        outcomes.append(handled)
    _summarise(outcomes, len(found.unreadable), time.monotonic() - began)


def _brought(encoder: str | None) -> str | None:
    """The name of an encoder; a Hugging Face folder, or a name on its hub, is imported first."""
    if encoder is None or encoder in {folder.name for folder in installed()}:
        return encoder
    if "/" not in encoder and not Path(encoder).is_dir():
        return encoder
    from weights.hub import bring_encoder

    return bring_encoder(encoder)


def _report(handled: Handled) -> None:
    from indexer.intake import Outcome

    name = shown_path(str(handled.path))
    earlier = printable(handled.earlier_path or "")
    match handled.outcome:
        case Outcome.INDEXED:
            assert handled.video is not None
            video = handled.video
            click.echo(
                f"{name}: indexed {clock(video.duration_s)}, {counted(handled.scenes, 'scene')}, "
                f"{counted(handled.clips, 'clip')}, {_speed(video.duration_s, handled.took_s)}"
            )
            for note in video.notes:
                click.echo(f"{name}: {printable(note)}", err=True)
        case Outcome.UNCHANGED:
            click.echo(f"{name}: unchanged, skipped")
        case Outcome.MOVED:
            click.echo(f"{name}: moved here from {earlier}, nothing to index")
        case Outcome.COPY:
            click.echo(f"{name}: same content as {earlier}, nothing to index")
        case Outcome.FAILED:
            click.echo(f"Error: {printable(str(handled.error))}", err=True)
    sys.stdout.flush()


def _speed(duration_s: float, took_s: float) -> str:
    return f"{duration_s / max(took_s, 1e-3):.1f} × real time"


def _summarise(outcomes: list[Handled], unreadable_folders: int, took_s: float) -> None:
    from indexer.intake import Outcome

    counts = {outcome: 0 for outcome in Outcome}
    for handled in outcomes:
        counts[handled.outcome] += 1
    failed = [handled for handled in outcomes if handled.outcome is Outcome.FAILED]
    if len(outcomes) != 1:
        parts = [f"{count} {outcome.value}" for outcome, count in counts.items() if count]
        click.echo(f"{', '.join(parts) or 'Nothing done'} in {took_s:.1f} s", err=True)
    if failed or unreadable_folders:
        what = [counted(len(failed), "file")] if failed else []
        what += [counted(unreadable_folders, "folder")] if unreadable_folders else []
        raise SomeVideosFailed(
            f"{' and '.join(what)} could not be read (see above); the rest is in the archive. Run "
            "the same command again when they are mended: what is done is skipped."
        )
