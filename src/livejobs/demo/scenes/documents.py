"""Documents: translated page by page, into a PDF."""

from __future__ import annotations

import random
from typing import Any, Final

from livejobs.demo import pdf
from livejobs.demo.scene import Scene, Stage

DOCUMENTS: Final = (
    ("Договор аренды.pdf", "ru", "en"),
    ("Manuel d'utilisation.pdf", "fr", "de"),
    ("Annual report 2025.docx", "en", "es"),
    ("Betriebsanleitung Pumpe P40.pdf", "de", "fr"),
    ("Política de privacidad.pdf", "es", "en"),
    ("Safety handbook.pdf", "en", "de"),
    ("دليل الموظف.docx", "ar", "fr"),
)
TEXTS: Final = {
    "en": ("The keeper's log", (
        "Monday. Calm sea, light wind from the west. The lamp was lit at 17:42.",
        "Tuesday. Two boats passed before noon. The stairs were painted.",
        "Wednesday. Fog until the evening. The horn sounded every thirty seconds.",
        "Thursday. Stores came by boat: oil, bread, letters, and a new kettle.",
    )),
    "de": ("Das Buch des Wärters", (
        "Montag. Ruhige See, leichter Wind aus Westen. Die Lampe brannte ab 17:42 Uhr.",
        "Dienstag. Vor Mittag fuhren zwei Boote vorbei. Die Treppe wurde gestrichen.",
        "Mittwoch. Nebel bis zum Abend. Das Horn ertönte alle dreißig Sekunden.",
        "Donnerstag. Vorräte kamen per Boot: Öl, Brot, Briefe und ein neuer Kessel.",
    )),
    "fr": ("Le journal du gardien", (
        "Lundi. Mer calme, vent léger d'ouest. La lampe fut allumée à 17 h 42.",
        "Mardi. Deux bateaux sont passés avant midi. L'escalier a été repeint.",
        "Mercredi. Brouillard jusqu'au soir. La corne a sonné toutes les trente secondes.",
        "Jeudi. Des vivres par bateau : huile, pain, lettres et une nouvelle bouilloire.",
    )),
    "es": ("El diario del farero", (
        "Lunes. Mar en calma, viento flojo del oeste. La lámpara se encendió a las 17:42.",
        "Martes. Dos barcos pasaron antes del mediodía. Se pintó la escalera.",
        "Miércoles. Niebla hasta la noche. La bocina sonó cada treinta segundos.",
        "Jueves. Llegaron provisiones: aceite, pan, cartas y una tetera nueva.",
    )),
}  # fmt: skip


def new_translation(dice: random.Random) -> dict[str, Any]:
    name, source, target = dice.choice(DOCUMENTS)
    return {
        "title": f"{name} → {target}",
        "meta": {
            "file_path": f"/uploads/{name}",
            "source_language": source,
            "target_language": target,
            "processing_type": "advanced",
            "format_preservation": True,
        },
        "tags": [target],
    }


def translation(stage: Stage) -> Any:
    job, meta = stage.job, stage.about["meta"]
    source, target = meta["source_language"], meta["target_language"]
    job.progress(percent=0, message="Extracting text")
    stage.takes(2.5)
    pages = stage.dice.randrange(7, 18)
    job.log(f"{pages} pages, {pages * stage.dice.randrange(260, 420)} words")
    job.progress(percent=20, message="Translating")
    for page in range(1, pages + 1):
        stage.takes(stage.dice.uniform(1.2, 2.2))
        job.progress(percent=20 + 60 * page // pages, message=f"Page {page} of {pages}")
        if stage.dice.random() < 0.2:
            job.log(f"Page {page}: a table was kept as it is", "warning")
    job.progress(percent=85, message="Writing the document")
    stage.takes(1.5)
    title, lines = TEXTS[target]
    about = f"livejobs demo: {source} to {target}, {pages} pages"
    job.upload(pdf.page(title, about, lines), f"translated-{target}.pdf")
    return {"pages": pages, "language": target}


SCENES: Final = (
    Scene(
        "translation", new_translation, translation, ("well", "fails", "well", "well", "stalls"),
        "The document is protected by a password", workers=2,
    ),
)  # fmt: skip
