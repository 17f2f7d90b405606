"""Chooses the rule of picture and sound: python -m training.fusion

Prints, for every rule that was tried, R1 at IoU 0.5 and mIoU of three kinds of question on films
composed of held-out photos and sounds, and the means of the three. With --asks it first fits how
far a sentence asks for sound and writes the file that the search reads.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from search.hearing_asks import FILE
from search.moments.choice import choose_head
from search.sound_text import sound_text
from search.text.lite import LiteTextEncoder
from storage.bundles import load_encoder, load_sound
from training.fusion import asking, table
from training.fusion.cases import FRESH, cases, screen
from training.fusion.hearing import held_out, tower
from training.fusion.material import load, read_sounds
from training.photos import read_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, default=Path("../shared/images"))
    parser.add_argument("--sounds", type=Path, default=Path("../shared/sounds"))
    parser.add_argument("--cache", type=Path, help="keep the vectors of the photos in this folder")
    parser.add_argument("--split", choices=["val", "test"], default="val")
    parser.add_argument("--head", default="watershed", help="moment head, by name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--films", type=int, help="so many films only; all by default")
    parser.add_argument("--asks", action="store_true", help=f"fit and write {FILE.name} first")
    parser.add_argument("--chosen", action="store_true", help="only the control and the choice")
    arguments = parser.parse_args()

    pictures, hearing = load_encoder(), load_sound("lite-sound")
    words = LiteTextEncoder(pictures)
    photos, sounds = read_table(arguments.images), read_sounds(arguments.sounds)
    wordings = asking.read(words, sounds, photos, arguments.seed)
    asks = asking.fit(wordings)
    if arguments.asks:
        asking.write(asks, pictures.manifest.checksums[pictures.text.file.name], FILE)
    sentences = sound_text(hearing.stamp, pictures)
    assert sentences is not None, "the tower shares a space with sentences"
    head = choose_head(arguments.head, pictures, hearing.stamp)
    material = load(
        arguments.images,
        arguments.sounds,
        arguments.split,
        pictures,
        arguments.cache,
        arguments.seed,
        arguments.films and arguments.films * FRESH,
    )
    screened = list(screen(material, arguments.seed))
    asks_of = held_out(wordings, asks, arguments.seed)
    put = list(cases(screened, words, head, tower(hearing), sentences, asks_of))
    table.show(put, table.CHOICE if arguments.chosen else table.RULES)


if __name__ == "__main__":
    main()
