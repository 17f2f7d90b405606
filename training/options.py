"""The command line of the recipe: which numbers may be said, within which limits, and when."""

import argparse
import dataclasses
import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from storage.errors import ReelseekError
from training.recipe import Adapting, Recipe, Tuning

SomeRecipe = TypeVar("SomeRecipe", bound=Recipe)

LIMITS = {
    "augmented_views": (0, 100),
    "batch": (2, math.inf),
    "dropout": (0, 0.95),
    "epochs": (0, math.inf),
    "final_rate": (0, 1),
    "hidden": (1, math.inf),
    "keep": (0, 1),
    "layers": (0, 6),
    "learning_rate": (0, 1),
    "more_epochs": (0, math.inf),
    "noise": (0, 10),
    "seed": (0, math.inf),
    "short_share": (0, 1),
    "steps": (0, math.inf),
    "teacher_classes": (1, 1000),
    "teacher_photos": (1, math.inf),
    "teacher_weight": (0, math.inf),
    "tower_decay": (0, 1),
    "tower_rate": (0, 1),
    "warm_up": (1, math.inf),
    "weight_decay": (0, 1),
    "word_dropout": (0, 0.95),
    "workers": (1, 256),
}
"""Least and greatest value of every number."""

WITHOUT_EFFECT = {"cache", "help", "workers"}
"""Options that the weights do not depend on."""

ANEW = ("", Recipe()), ("text-", Tuning())
ONWARDS = (("", Adapting()),)
"""Prefix of the options, and their defaults: without --init, and with it."""


class OptionError(ReelseekError):
    """An option that has no meaning beside the others."""

    exit_code = 2


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    images: Path
    out: Path | None
    init: Path | None
    cache: Path
    workers: int
    seed: int
    judge: tuple[str, ...]
    numbers: dict[str, object]
    """What was said of the recipe, by option name: `text-epochs` for instance."""
    command: str
    """The command line for the manifest, without folders of this machine."""

    def recipe(self, default: SomeRecipe, prefix: str = "") -> SomeRecipe:
        """The recipe with what the command line says otherwise."""
        said = {
            field.name: self.numbers[_option(prefix, field.name)]
            for field in dataclasses.fields(default)
            if _option(prefix, field.name) in self.numbers
        }
        return dataclasses.replace(default, **said)  # type: ignore[arg-type]


def parse(description: str, words: Sequence[str] | None = None) -> Options:
    """Reads the command line; what argparse refuses ends the program with exit code 2.

    Raises:
        OptionError: a number of one kind of training was said for the other.
    """
    parser = _parser(description)
    found = parser.parse_args(words)
    said = vars(found)
    numbers = {
        option: said[_place(option)] for option in _options() if said[_place(option)] is not None
    }
    _refuse_strangers(numbers, found.init)
    return Options(
        images=found.images,
        out=found.out,
        init=found.init,
        cache=found.cache,
        workers=found.workers,
        seed=found.seed,
        judge=tuple(dict.fromkeys(found.judge)),
        numbers=numbers,
        command=_command(parser, found),
    )


def _refuse_strangers(numbers: dict[str, object], init: Path | None) -> None:
    known = {name for name, _ in _fields(ANEW if init is None else ONWARDS)}
    strangers = [f"--{option}" for option in numbers if option not in known]
    if strangers and init is None:
        raise OptionError(f"{', '.join(strangers)}: only together with --init.")
    if strangers:
        raise OptionError(
            f"{', '.join(strangers)}: not together with --init, where only the picture head of a "
            "finished bundle goes on learning, for --steps steps."
        )


def _command(parser: argparse.ArgumentParser, found: argparse.Namespace) -> str:
    """The options that were said, in the order of the help; of an absolute path the last name."""
    words = ["python", "-m", "training.lite"]
    for action in parser._actions:
        value = getattr(found, action.dest, None)
        if action.dest in WITHOUT_EFFECT or value == action.default or not action.option_strings:
            continue
        if isinstance(value, bool):
            words.append(action.option_strings[0 if value else 1])
            continue
        words.append(action.option_strings[0])
        for each in value if isinstance(value, list) else [value]:
            elsewhere = isinstance(each, Path) and each.is_absolute()
            words.append(Path(str(each)).name if elsewhere else str(each))
    return shlex.join(words)


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.lite",
        usage="%(prog)s [--images FOLDER] [--init BUNDLE] [--out FOLDER] [numbers of the recipe]",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--images", type=Path, default=Path("../shared/images"), help="photo set, or a folder")
    add("--out", type=Path, help="folder of the bundle; without it none is written")
    add("--init", type=Path, help="bundle to go on from: only its picture head learns")
    add("--cache", type=Path, default=Path("~/.cache/reelseek-training").expanduser())
    add("--workers", type=_number("workers", int), default=2, help="threads for features")
    add("--seed", type=_number("seed", int), default=0)
    add("--judge", nargs="*", default=["val"], choices=["val", "test"], help="splits to judge by")
    numbers = parser.add_argument_group("numbers of the recipe")
    for option, (kind, field, told) in _options().items():
        if kind is bool:
            numbers.add_argument(f"--{option}", action=argparse.BooleanOptionalAction, help=told)
        else:
            numbers.add_argument(
                f"--{option}", type=_number(field, kind), metavar=kind.__name__.upper(), help=told
            )
    return parser


def _options() -> dict[str, tuple[type, str, str]]:
    """Every number by its option: type, field and the defaults as the help tells them."""
    found: dict[str, tuple[type, str, list[str]]] = {}
    for when, recipes in (("", ANEW), ("with --init ", ONWARDS)):
        for option, (field, default) in _fields(recipes):
            entry = found.setdefault(option, (type(default), field, []))
            entry[2].append(f"{when}{default}")
    return {option: (kind, field, ", ".join(told)) for option, (kind, field, told) in found.items()}


def _fields(
    recipes: Sequence[tuple[str, Recipe]],
) -> Iterator[tuple[str, tuple[str, object]]]:
    """Option, field and default of all numbers that a kind of training has."""
    for prefix, recipe in recipes:
        fixed = ("hidden", "epochs") if isinstance(recipe, Adapting) else ()
        for field in dataclasses.fields(recipe):
            if field.name not in fixed:
                yield _option(prefix, field.name), (field.name, getattr(recipe, field.name))


def _number(field: str, kind: Callable[[str], float]) -> Callable[[str], float]:
    least, greatest = LIMITS[field]

    def number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no number of its kind") from None
        if not least <= value <= greatest:
            above = "" if greatest == math.inf else f" and at most {greatest}"
            raise argparse.ArgumentTypeError(f"{text} must be at least {least}{above}")
        return value

    return number


def _option(prefix: str, field: str) -> str:
    return (prefix + field).replace("_", "-")


def _place(option: str) -> str:
    return option.replace("-", "_")
