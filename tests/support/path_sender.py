"""An app for a server that sends files by path: granian. Its data folder is in DATA."""

from __future__ import annotations

import os
from pathlib import Path

from livejobs import LiveJobs, Settings, create_app

app = create_app(LiveJobs(Settings(data=Path(os.environ["DATA"]))))
