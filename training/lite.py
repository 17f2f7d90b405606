"""Makes the default bundle, or adapts it to a folder of captioned pictures:
python -m training.lite --images ../shared/images --out storage/bundles/lite
python -m training.lite --images my-photos --init storage/bundles/lite --out my-lite
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TypeVar

import torch

from storage.errors import ReelseekError
from training import bundle, making
from training.folder import is_folder
from training.photoset import read_photos
from training.recipe import ADAPTING, Recipe, Tuning
from training.workshop import Workshop

SomeRecipe = TypeVar("SomeRecipe", bound=Recipe)


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(1)  # one order of sums: the bytes do not depend on the number of cores
    try:
        _make(arguments)
    except (ReelseekError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))


def _make(arguments: argparse.Namespace) -> None:
    photos = read_photos(arguments.images)
    workshop = Workshop(arguments.images, arguments.cache, arguments.workers)
    recipe = _recipe(arguments, Recipe() if arguments.init is None else ADAPTING, "")
    if arguments.init is None:
        tuning = _recipe(arguments, Tuning(), "text-")
        made = making.anew(workshop, photos, recipe, tuning, arguments.seed)
    else:
        made = making.onwards(workshop, photos, recipe, arguments.seed, arguments.init)
    for split in arguments.judge:
        print(json.dumps({split: making.figures(made, workshop, photos, split)}), flush=True)
    if arguments.out is not None:
        title = bundle.ADAPTED if arguments.init else bundle.LITE
        if not arguments.init and is_folder(arguments.images):
            title = bundle.OWN
        origin = making.origin(made, arguments.images, photos)
        bundle.write(arguments.out, making.bundle_files(made, title), origin, title)


def _recipe(arguments: argparse.Namespace, recipe: SomeRecipe, prefix: str) -> SomeRecipe:
    """The recipe with what the command line says otherwise."""
    said = {
        field.name: value
        for field in dataclasses.fields(recipe)
        if (value := getattr(arguments, _flag(prefix, field.name), None)) is not None
    }
    return dataclasses.replace(recipe, **said)


def _flag(prefix: str, field: str) -> str:
    return (prefix + field).replace("-", "_")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--images", type=Path, default=Path("../shared/images"), help="photo set, or a folder"
    )
    parser.add_argument("--out", type=Path, help="folder of the bundle; without it none is written")
    parser.add_argument("--init", type=Path, help="bundle to go on from: only image heads learn")
    parser.add_argument(
        "--cache", type=Path, default=Path("~/.cache/reelseek-training").expanduser()
    )
    parser.add_argument("--workers", type=int, default=2, help="threads for features")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--judge", nargs="*", default=["val"], choices=["val", "test"])
    for prefix, recipe in (("", Recipe()), ("text-", Tuning())):
        for field in dataclasses.fields(recipe):
            kind = type(getattr(recipe, field.name))
            flag = f"--{prefix}{field.name}".replace("_", "-")
            if kind is bool:
                parser.add_argument(flag, action=argparse.BooleanOptionalAction)
            else:
                parser.add_argument(flag, type=kind, help=f"{getattr(recipe, field.name)}")
    return parser.parse_args()


if __name__ == "__main__":
    main()
