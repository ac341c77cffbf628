"""tqdm that reports: as a class, or put into the original.

Nothing is added to a bar's loop. The reporter looks at the bar's `n` when it is about to send. Bars
that are not shown (`disable=True`, or no terminal) do not count, so those are counted here.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from livejobs.client.worker import block
from livejobs.client.worker.track import Count, begin, end

if TYPE_CHECKING:
    from livejobs.client.sending.channel import Channel


class BarCount(Count):
    """A bar as the reporter sees it: its numbers are read, never its display."""

    __slots__ = ("_bar",)

    def __init__(self, bar: Any, channel: Channel, total: Any, step: str | None) -> None:
        super().__init__(channel, total, step)
        self._bar = weakref.ref(bar)

    def poll(self) -> None:
        bar = self._bar()
        if bar is not None:
            self.n, self.total = bar.n, bar.total
        super().poll()


def _open(bar: Any) -> None:
    channel = block.current().channel
    if channel is None or getattr(bar, "livejobs", None) is not None:
        return
    title = getattr(bar, "desc", None) or None
    unit = getattr(bar, "unit", "it")
    count = begin(
        channel, bar.total, None, title, None if unit == "it" else unit,
        functools.partial(BarCount, bar),
    )  # fmt: skip
    bar.livejobs = (channel, count)


def _close(bar: Any) -> None:
    opened = getattr(bar, "livejobs", None)
    if opened is not None:
        bar.livejobs = None
        channel, count = opened
        count.poll()
        whole = count.total is not None and count.n >= count.total
        end(channel, count, whole=whole)


class Plain:
    """Where tqdm is not installed: a bar that is never shown."""

    def __init__(
        self, iterable: Any = None, desc: str | None = None, total: float | None = None,
        *args: Any, unit: str = "it", initial: float = 0, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.iterable = iterable
        self.desc = desc
        self.unit = unit
        self.n = initial
        self.total = total
        self.disable = True
        if total is None and hasattr(iterable, "__len__"):
            self.total = len(iterable)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.iterable)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def update(self, n: float | None = 1) -> bool | None:
        return None

    def close(self) -> None:
        pass

    def set_description(self, desc: str | None = None, refresh: bool = True) -> None:
        self.desc = desc

    def set_postfix(self, *args: Any, **kwargs: Any) -> None:
        pass

    @classmethod
    def write(cls, s: str, file: Any = None, end: str = "\n") -> None:
        print(s, file=file, end=end)


def _original() -> type[Any]:
    try:
        # Loaded on use: it may not be installed.
        from tqdm.std import tqdm as original  # noqa: PLC0415 - see above
    except ImportError:
        return Plain
    return original


_installed = False


def _reports(bars: type[Any], base: type[Any]) -> None:
    """Put into a class of bars what makes them report. `base`: where the methods come from."""

    def mine(name: str) -> Callable[[Callable[..., Any]], None]:
        method = getattr(base, name)

        def put(with_: Callable[..., Any]) -> None:
            @functools.wraps(method)
            def called(self: Any, *args: Any, **kwargs: Any) -> Any:
                if _installed and bars is not base:  # the original's method reports already
                    return getattr(base, name)(self, *args, **kwargs)
                return with_(method, self, *args, **kwargs)

            setattr(bars, name, called)

        return put

    mine("__init__")(_init)
    mine("__iter__")(_iterate)
    mine("update")(_update)
    mine("close")(_closed)


def _init(method: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> None:
    method(self, *args, **kwargs)
    if self.disable and kwargs.get("desc"):  # tqdm leaves it out of such a bar
        self.desc = kwargs["desc"]
    _open(self)


def _iterate(method: Callable[..., Any], self: Any) -> Iterator[Any]:
    return _counted(self) if self.disable else iter(method(self))


def _counted(bar: Any) -> Iterator[Any]:
    try:
        for item in bar.iterable:
            yield item
            bar.n += 1
    finally:
        bar.close()


def _update(method: Callable[..., Any], self: Any, n: float | None = 1) -> Any:
    if self.disable:
        self.n += 1 if n is None else n
    return method(self, n)


def _closed(method: Callable[..., Any], self: Any) -> None:
    _close(self)
    method(self)


_DOC: Final = "tqdm that reports to the current job. `tqdm.install()` makes the original do so."


def bars() -> type[Any]:
    """The class: tqdm's own where it is installed, with all it has, and reporting."""
    base = _original()

    named = {"__doc__": _DOC, "livejobs": None, "install": staticmethod(install)}
    tqdm: type[Any] = type("tqdm", (base,), named)
    _reports(tqdm, base)
    return tqdm


def install() -> None:
    """From now on every bar of tqdm reports to the current job, whoever makes it."""
    global _installed  # noqa: PLW0603 - it is one for the process
    base = _original()
    if not _installed and base is not Plain:
        _reports(base, base)
        _installed = True


tqdm: Any = bars()
