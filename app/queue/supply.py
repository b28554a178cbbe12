"""Where a queue's fresh items come from.

A computed source gives value n for seq n. So the ledger grants seqs first, and their values are then pulled
from the shared generator, which stands there; a queue that producers push to has no source, and is supplied
with nothing in the same way. Other sources are drawn before they are granted.
"""

from __future__ import annotations

from .computed import Computed
from .feeder import Feeder

Supply = Computed | Feeder
