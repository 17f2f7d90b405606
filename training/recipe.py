"""The numbers of the recipe, all chosen on the val split; README.md says what else was tried."""

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """How an image head learns, with or without the sentence side beside them."""

    augmented_views: int = 3
    """Views of each photo beside the plain one; each step draws one of them all."""
    epochs: int = 40
    batch: int = 768
    hidden: int = 1536
    """Width of the image head's hidden layer."""
    dropout: float = 0.4
    noise: float = 0.1
    """Deviation of the noise added to standardised features."""
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    """On matrices only."""
    warm_up: int = 50
    """Steps of linear rise before the cosine."""
    final_rate: float = 0.02
    """Where the cosine ends, as a share of `learning_rate`."""
    teacher_weight: float = 2.0
    teacher_photos: int = 384
    """Photos of each batch that the classifier judges."""
    teacher_classes: int = 1000
    """Classes of the 1,000 that one step compares them with."""
    short_share: float = 0.2
    """How often a photo's caption is drawn in a short form."""
    bfloat16: bool = True
    """Whether the wide products run in bfloat16, which halves their time on processors that can."""


@dataclass(frozen=True)
class Tuning(Recipe):
    """How the last layers of the sentence tower learn, together with a first image head."""

    epochs: int = 14
    more_epochs: int = 10
    """Of a second round; 0 for none."""
    teacher_classes: int = 250
    short_share: float = 0.25
    layers: int = 2
    """Layers of the sentence tower that learn; the lower ones stay as they are. 0: none does."""
    tower_rate: float = 3e-4
    """Their learning rate."""
    tower_decay: float = 0.01
    """Their weight decay."""
    word_dropout: float = 0.1
    """Share of tokens that a step leaves out of each sentence."""


@dataclass(frozen=True)
class Adapting(Recipe):
    """How a finished image head goes on with a user's pictures, be they a hundred or ten thousand:
    so many steps, whatever the number of pictures, and then a part of the way back, so that what
    the head knew stays.
    """

    augmented_views: int = 2
    learning_rate: float = 3e-4
    warm_up: int = 10
    teacher_weight: float = 0.0
    """The classifier knows nothing of a house's own names, and argues against them."""
    steps: int = 300
    """At least as many; whole epochs, of batches of at most half the pictures."""
    keep: float = 0.5
    """Share of the old weights in the mean of old and new ones that is shipped (Wortsman et al.,
    2022, "Robust fine-tuning of zero-shot models").
    """

    def sized(self, photos: int) -> "Adapting":
        """The same recipe with the batch and the epochs that make the steps of so many photos."""
        batch = max(1, min(self.batch, photos // 2))
        return replace(self, batch=batch, epochs=math.ceil(self.steps / (photos // batch)))
