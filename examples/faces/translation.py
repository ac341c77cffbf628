"""A worker that translates a document: 0 at its start, 20 once the text is taken out, up to 80
while it is translated, 100 with the file.

Seen at /api/v1/status/JOB, its file at /api/v1/download/JOB."""

from __future__ import annotations

from worker import Job, work

PARAGRAPHS = ["Hello.", "This is a document.", "It has four paragraphs.", "Goodbye."]
GERMAN = ["Hallo.", "Dies ist ein Dokument.", "Es hat vier Absätze.", "Auf Wiedersehen."]

job = Job("translation", "document.txt, en to de")
job.say(
    {"type": "start"},
    {
        "type": "meta",
        "set": {
            "file_path": "/uploads/document.txt",
            "source_language": "en",
            "target_language": "de",
            "processing_type": "advanced",
            "format_preservation": True,
        },
    },
    {"type": "progress", "percent": 0},
)
work()
job.say({"type": "progress", "percent": 20, "message": "Text extracted"})
translated = []
for number, paragraph in enumerate(GERMAN, 1):
    work()
    translated.append(paragraph)
    percent = 20 + 60 * number // len(PARAGRAPHS)
    job.say({"type": "progress", "percent": percent, "message": f"Paragraph {number}"})
job.upload("document.de.txt", "\n".join(translated).encode(), "text/plain; charset=utf-8")
job.say({"type": "succeed"})
