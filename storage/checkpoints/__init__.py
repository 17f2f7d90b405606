"""Weight files of strangers: read for their numbers, never carried out.

No module of this package imports torch or unpickles; docs/adr/0012 says why.
"""

from storage.checkpoints.reader import Checkpoint, read_checkpoint
from storage.errors import WeightsRefused, WeightsUnreadable

__all__ = ["Checkpoint", "WeightsRefused", "WeightsUnreadable", "read_checkpoint"]
