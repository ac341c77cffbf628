"""Keep the reporter's warnings until the command has ended: the terminal is the command's."""

from __future__ import annotations

import logging
from collections import deque
from typing import Final

MOST: Final = 20


class News(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: deque[str] = deque(maxlen=MOST)

    @classmethod
    def listen(cls) -> News:
        news = cls()
        logger = logging.getLogger("livejobs.client")
        logger.addHandler(news)
        logger.propagate = False
        return news

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
