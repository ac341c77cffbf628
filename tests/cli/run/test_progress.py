"""Progress that programs show, as they really write it."""

from __future__ import annotations

import pytest

from livejobs.cli.run.progress import BadPattern, Progress, Recognizer, own_pattern


def of(
    current: float, total: float | None, unit: str | None = None, message: str | None = None
) -> Progress:
    return Progress(None, current, total, unit, message)


def percent(value: float, message: str | None = None) -> Progress:
    return Progress(value, message=message)


BAR = "━" * 40
BARS = {
    # tqdm
    "100%|██████████████████████| 50/50 [00:01<00:00, 47.34it/s]": of(50, 50),
    "Epoch 2:  45%|████▌     | 45/100 [00:01<00:01, 43.2page/s]": of(45, 100, "page", "Epoch 2"),
    "  0%|          | 0/3 [00:00<?, ?it/s]": of(0, 3),
    " 10%|█         | 1/10 [00:02<00:18,  2.00s/it]": of(1, 10),
    "model.bin:  45%|████▌  | 45.2M/100M [00:01<00:01, 43.2MB/s]": of(
        45_200_000, 100_000_000, "B", "model.bin"
    ),
    " 30%|###       | 3/10 [00:00<00:00, 30.1it/s, loss=0.3]": of(3, 10),
    "45it [00:01, 43.06it/s]": of(45, None),
    "rows: 1200rows [00:01, 1143.06rows/s]": of(1200, None, "rows", "rows"),
    # rich
    f"Working... {BAR}  45% 0:00:12": percent(45, "Working..."),
    "Frames ━━━━╺━━━━━━━━━━  10% -:--:--": percent(10, "Frames"),
    # pip
    f"     {BAR} 0.0/1.2 MB ? eta -:--:--": of(0, 1.2, "MB"),
    f"     {BAR} 1.2/1.2 MB 176.0 MB/s eta 0:00:00": of(1.2, 1.2, "MB"),
    f"     {BAR} 61.0/61.0 kB 1.1 MB/s eta 0:00:00": of(61, 61, "kB"),
    # curl
    " 45 28.6M   45 12.9M    0     0  18.0M      0  0:00:01 --:--:--  0:00:01 18.0M": percent(45),
    "100 28.6M  100 28.6M    0     0   218M      0 --:--:-- --:--:-- --:--:--  218M": percent(100),
    "  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0": None,
    "######################                                   32.4%": percent(32.4),
    # rsync --info=progress2
    "         32,768   0%    0.00kB/s    0:00:00  ": percent(0),
    "     14,680,064  48%   13.99MB/s    0:00:01  (xfr#1, to-chk=5/7)": percent(48),
    # wget
    "big.bin              45%[=======>            ]  12.88M  18.0MB/s    eta 1s": percent(45),
    # apt
    "Progress: [ 45%] [#########...........] ": percent(45),
    "45% [12 libfoo 12.3 kB/45 kB 27%]": percent(45),
    "Reading package lists... 36%": None,
    "Reading state information... 0%": None,
    "(Reading database ... 45%": None,
    # git
    "Receiving objects:  45% (450/1000), 1.20 MiB | 2.00 MiB/s": percent(45),
    # others
    "Copying 3/7": of(3, 7),
    "12.5 % of the disk": percent(12.5),
    "spinning /": None,
    "120% done": None,
    "7/3": None,
}

LINES = {
    "    50K .......... .......... .......... .......... ..........  12% 192M 3s": percent(12),
    "[ 45%] Building CXX object main.cpp.o": percent(45),
    "tests/test_a.py ........                                 [ 45%]": percent(45),
    "[12/345] Linking": of(12, 345),
    "#7 [3/7] RUN make": of(3, 7),
    "Epoch 3/10": of(3, 10, "epoch"),
    "epoch: 3/10 loss: 0.2": of(3, 10, "epoch"),
    "Processing file 3 of 10: a.txt": of(3, 10, "file"),
    "Step 4 of 8": of(4, 8, "step"),
    "10/100 [====>......................] - ETA: 1s": of(10, 100),
    "Progress: 45%": percent(45),
    "45.5% complete": percent(45.5),
    "45%": percent(45),
    "Downloaded 45 % of the data": percent(45),
    # Not progress
    "CPU usage 93%, memory 12%": None,
    "02/11 10:15:00 starting": None,
    "2026/11/27 starting": None,
    "see docs/1/2 for more": None,
    "/usr/lib/3/4": None,
    "time=3ms status=200": None,
    "[2026-11-27 10:15:00] GET / 200": None,
    "100 200 300": None,
    "": None,
}


@pytest.mark.parametrize("text", BARS)
def test_a_bar_that_is_rewritten(text: str) -> None:
    assert Recognizer().see(text, rewritten=True) == BARS[text]


@pytest.mark.parametrize("text", LINES)
def test_a_finished_line_is_read_more_strictly(text: str) -> None:
    assert Recognizer().see(text) == LINES[text]


def test_ffmpeg_is_measured_by_the_longest_input() -> None:
    seen = Recognizer()
    stats = "frame=  105 fps= 51 q=28.0 size=       0kB time=00:00:02.20 bitrate=   0.2kbits/s"
    assert seen.see(stats, rewritten=True) is None
    for line in ("  Duration: N/A, start: 0", "  Duration: 00:00:08.00, start: 0.000000, bitrate:"):
        assert seen.see(line) is None
    assert seen.see("  Duration: 00:00:03.00, start: 0.000000") is None
    assert seen.see(stats, rewritten=True) == of(2.2, 8, "s")
    assert seen.see("out_time=00:00:04.500000") == of(4.5, 8, "s")
    assert seen.see("frame=1 time=-00:00:00.07 bitrate=N/A", rewritten=True) is None
    assert seen.see("time=01:00:00.00 ", rewritten=True) == of(8, 8, "s")


def test_an_own_expression_is_the_only_one() -> None:
    seen = Recognizer(own_pattern(r"frame (?P<current>\d+) of (?P<total>\d+)"))
    assert seen.see("rendered frame 3 of 9") == of(3, 9)
    assert seen.see("45%", rewritten=True) is None
    assert Recognizer(own_pattern(r"p=(?P<percent>[\d.]+)")).see("p=4.5") == percent(4.5)
    assert Recognizer(own_pattern(r"n=(?P<current>\d+)")).see("n=12") == of(12, None)


@pytest.mark.parametrize("expression", ["(", r"(\d+)%", r"(?P<total>\d+)"])
def test_an_expression_that_cannot_work_is_refused(expression: str) -> None:
    with pytest.raises(BadPattern):
        own_pattern(expression)


@pytest.mark.parametrize("text", ["9" * 2000 + "%", "1/" + "9" * 400, "(" * 5000, "a" * 10**6])
def test_absurd_text_is_no_progress(text: str) -> None:
    assert Recognizer().see(text, rewritten=True) is None
