"""Makes the default bundle, or adapts it to a folder of captioned pictures:
python -m training.lite --images ../shared/images --out storage/bundles/lite
python -m training.lite --images my-photos --init storage/bundles/lite --out my-lite
"""

import sys
from collections.abc import Sequence

import torch

from storage.errors import ReelseekError
from training import bundle, card, making
from training.folder import is_folder
from training.options import Options, parse
from training.photos import Photo
from training.photoset import check_pictures, read_photos
from training.recipe import Adapting, Recipe, Tuning
from training.workshop import Workshop


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code."""
    torch.set_num_threads(1)  # one order of sums: the bytes do not depend on the number of cores
    try:
        _make(parse(__doc__ or "", words))
    except (ReelseekError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    return 0


def _make(options: Options) -> None:
    """Checks what can be checked, learns, writes, judges, and writes the figures beside it."""
    photos = read_photos(options.images)
    _check_splits(options, photos)
    check_pictures(options.images, photos)
    workshop = Workshop(options.images, options.cache, options.workers)
    if options.init is None:
        recipe, tuning = options.recipe(Recipe()), options.recipe(Tuning(), "text-")
        made = making.anew(workshop, photos, recipe, tuning, options.seed)
    else:
        adapting = options.recipe(Adapting())
        made = making.onwards(workshop, photos, adapting, options.seed, options.init)
    _write(options, photos, made, {})  # a long training is kept, whatever becomes of the judging
    judged = {}
    for split in options.judge:
        judged[split] = making.figures(made, workshop, photos, split)
        count = sum(photo.split == split for photo in photos)
        print(f"{split}, {count} pictures, computed on them just now:")
        print(card.table(judged[split]), flush=True)
    _write(options, photos, made, judged)
    if options.out is not None:
        print(f"wrote {options.out}")


def _check_splits(options: Options, photos: Sequence[Photo]) -> None:
    for split in options.judge:
        if not any(photo.split == split for photo in photos):
            raise ReelseekError(
                f"{options.images} has no pictures of the split {split} to judge by: mark some, or "
                f"leave {split} out of --judge."
            )


def _write(
    options: Options, photos: Sequence[Photo], made: making.Made, judged: making.Judged
) -> None:
    if options.out is None:
        return
    title = bundle.ADAPTED if options.init else bundle.LITE
    if not options.init and is_folder(options.images):
        title = bundle.OWN
    origin = making.origin(made, options.images, photos) | {"command": options.command}
    if judged and title != bundle.LITE:
        origin["judged"] = judged
    files = making.bundle_files(made, title, card.card(title, photos, made.base, judged))
    bundle.write(options.out, files, origin, title)


if __name__ == "__main__":
    sys.exit(main())
