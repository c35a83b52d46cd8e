"""ro-crate-metadata.json of the folder ``paper``: what was made, by which workflow, from which inputs.

It follows the profiles Workflow Run Crate 0.5 (with Process Run Crate) and Workflow RO-Crate 1.0, on RO-Crate 1.1.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ita.io.files import sha256

METADATA = "ro-crate-metadata.json"
CRATE = "https://w3id.org/ro/crate/1.1"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
RUN_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    WORKFLOW_CRATE: ("Workflow RO-Crate", "1.0"),
}
TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}
"""Terms that the context of RO-Crate 1.1 lacks."""
LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
FORMATS = {".md": "text/markdown", ".parquet": "application/vnd.apache.parquet", ".tex": "application/x-tex"}
"""Media types that Python does not know everywhere."""

Entity = dict[str, Any]


def crate(folder: Path, main: str, settings: Mapping[str, Any], posts: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of a folder that is complete but for them.

    Args:
        folder: the folder.
        main: its file that is the workflow, relative to it.
        settings: ``dataset``, its ``note`` and ``licence``.
        posts: metadata of posts.parquet: files of the splits, commit and versions.
    """
    files = [file_entity(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]
    workflow = next(entity for entity in files if entity["@id"] == quote(main))
    outputs = [entity for entity in files if not entity["@id"].startswith("workflow/")]
    workflow |= workflow_facts(posts)
    inputs = [input_entity(name, split) for name, split in posts["splits"].items()]
    now = datetime.now(UTC).replace(microsecond=0).isoformat()
    name = f"Tables and figures of the data set {settings['dataset']}"
    description = f"{name}, made by ita: multi-modal named-entity recognition. {settings.get('note') or ''}".strip()
    root: Entity = {
        "@id": "./",
        "@type": "Dataset",
        "name": name,
        "description": description,
        "datePublished": now,
        "license": {"@id": "#licence"},
        "conformsTo": references(RUN_PROFILES),
        "hasPart": references(entity["@id"] for entity in files),
        "mainEntity": {"@id": workflow["@id"]},
        "mentions": {"@id": "#run"},
    }
    run: Entity = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"Run of the workflow on {settings['dataset']}",
        "description": "The stages of the workflow, from the posts to the tables; cost.csv has the time of each.",
        "instrument": {"@id": workflow["@id"]},
        "object": references(entity["@id"] for entity in inputs),
        "result": references(entity["@id"] for entity in outputs),
        "endTime": now,
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    graph = [descriptor(), root, run, *files, *inputs, *context_entities(settings)]
    return {"@context": [f"{CRATE}/context", TERMS], "@graph": graph}


def descriptor() -> Entity:
    """The entity of the metadata themselves."""
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": references([CRATE, WORKFLOW_CRATE]),
    }


def file_entity(folder: Path, path: Path) -> Entity:
    """A file of the folder."""
    name = path.relative_to(folder).as_posix()
    media_type = FORMATS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    return {
        "@id": quote(name),
        "@type": "File",
        "name": name,
        "encodingFormat": media_type,
        "contentSize": str(path.stat().st_size),
        "sha256": sha256(path),
    }


def workflow_facts(posts: Mapping[str, Any]) -> Entity:
    """What makes a file the workflow of the crate."""
    return {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "ita",
        "description": "Snakemake pipeline of multi-modal named-entity recognition by image-text alignments",
        "version": str(posts.get("commit") or posts["versions"]["ita"]),
        "license": {"@id": "https://spdx.org/licenses/MIT"},
        "programmingLanguage": {"@id": LANGUAGE},
    }


def input_entity(name: str, split: Mapping[str, Any]) -> Entity:
    """A file of annotated posts: by its address, or without one as something that is not part of the crate."""
    address = str(split["file"])
    public = address.startswith(("http://", "https://"))
    return {
        "@id": address if public else f"#posts-{quote(name)}",
        "@type": "File" if public else "CreativeWork",
        "name": f"Posts of the split {name}: {address}",
        "description": f"{split['posts']:,} posts; labels: {split.get('label_version') or 'none'}",
        "sha256": split["sha256"],
        **({"encodingFormat": "text/plain"} if public else {}),
    }


def context_entities(settings: Mapping[str, Any]) -> list[Entity]:
    """Licence, profiles and language that the others refer to."""
    profiles = [
        {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}
        for profile, (name, version) in RUN_PROFILES.items()
    ]
    licence = str(settings.get("licence") or "not stated; ask those who give out the data")
    return [
        *profiles,
        {"@id": "#licence", "@type": "CreativeWork", "name": "Licence of the data", "description": licence},
        {"@id": "https://spdx.org/licenses/MIT", "@type": "CreativeWork", "name": "MIT License"},
        {
            "@id": LANGUAGE,
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "identifier": {"@id": "https://doi.org/10.1093/bioinformatics/bts480"},
            "url": {"@id": "https://snakemake.readthedocs.io"},
        },
    ]


def references(ids: Iterable[str]) -> list[Entity]:
    """References to entities."""
    return [{"@id": name} for name in ids]
