"""A worker that translates a document: 0 percent at the start, 20 once the text is extracted, up to
80 during translation, and 100 with the file.

Poll the job at /api/v1/status/JOB, and download its file at /api/v1/download/JOB."""

from __future__ import annotations

from worker import Job, work

PARAGRAPHS = ["Hello.", "This is a document.", "It has four paragraphs.", "Goodbye."]
GERMAN = ["Hallo.", "Dies ist ein Dokument.", "Es hat vier Absätze.", "Auf Wiedersehen."]

job = Job("translation", "document.txt, en to de")
job.send(
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
job.send({"type": "progress", "percent": 20, "message": "Text extracted"})
translated = []
for number, paragraph in enumerate(GERMAN, 1):
    work()
    translated.append(paragraph)
    percent = 20 + 60 * number // len(PARAGRAPHS)
    job.send({"type": "progress", "percent": percent, "message": f"Paragraph {number}"})
job.upload("document.de.txt", "\n".join(translated).encode(), "text/plain; charset=utf-8")
job.send({"type": "succeed"})
