"""A finished bundle, such as the recipe of `training/` writes, comes under a name of the user's.

Its files are taken as they are; only the manifest's name changes, because an archive finds its
encoder by it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from storage.bundles import EncoderBundle, encoder_of
from storage.errors import BundleError
from storage.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from weights.importing import Imported, Wishes
from weights.models_folder import being_written, check_name, is_taken, name_taken, put_in_place


def is_finished(path: Path) -> bool:
    """Whether a path is a folder with the manifest of a bundle."""
    return path.is_dir() and (path / MANIFEST).is_file()


def import_bundle(path: Path, wishes: Wishes) -> Imported:
    """Copy the encoder in a folder into the models folder.

    Raises:
        BundleError: the folder is no whole and sound bundle of an encoder, its networks cannot be
            run, or the name is taken or impossible.
        NewerFormat: the manifest has a format this version does not know.
    """
    manifest = read_manifest(path)
    name = wishes.name or manifest.name
    check_name(name)
    if is_taken(name) and not wishes.replace:
        raise name_taken(name)
    manifest.verify()
    _check_networks(encoder_of(manifest))
    licence = {"weights": wishes.licence} if wishes.licence else manifest.fields.get("licence", {})
    with being_written() as folder:
        for file in manifest.checksums:
            shutil.copyfile(path / file, folder / file)
        kept = {key: value for key, value in manifest.fields.items() if key != "files"}
        write_manifest(
            folder, kept | {"name": name, "version": _version(manifest), "licence": licence}
        )
        place = put_in_place(folder, name, wishes.replace)
    return Imported(read_manifest(place), None, ())


def _version(manifest: Manifest) -> str:
    """The beginning of a digest over the files: two trainings never look alike in an archive."""
    return manifest.fingerprint({}, sorted(manifest.checksums))[:8]


def _check_networks(encoder: EncoderBundle) -> None:
    """Refuse graphs that do not open, or lack what the manifest promises, before they are copied
    rather than in the middle of an archive.
    """
    if encoder.image.network != "onnx":
        raise BundleError(
            f"{encoder.manifest.path} goes through {encoder.image.network}, not an "
            "ONNX graph: bring the weights it was made from, with --as."
        )
    _check(encoder.image.file, {encoder.image.input, encoder.image.output})
    _check(encoder.text.file, {encoder.text.pooled, encoder.text.tokens})


def _check(file: Path, wanted: set[str]) -> None:
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session: Any = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the library raises bare Exception subclasses
        raise BundleError(f"{file} is no ONNX graph that can be run ({error}).") from error
    there = {value.name for value in (*session.get_inputs(), *session.get_outputs())}
    if missing := sorted(wanted - there):
        raise BundleError(f"{file} lacks {', '.join(missing)}, which its manifest names.")
