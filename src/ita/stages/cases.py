"""cases: predictions of three systems -> cases.parquet, cases.md, cases.html.

Finds posts where image text helped (the text-only system is wrong, the one that reads image text right) and where it
misled (text-only right, image text wrong, and the system with cross-view alignment right). A post is right when exactly
its gold spans are found. What holds in more than half of the seeds, each compared with itself, is a case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ita.cli import read_section
from ita.config import Cases
from ita.data.tags import spans
from ita.errors import UserError
from ita.io import parquet
from ita.io.files import write_text
from ita.io.provenance import provenance_of
from ita.log import log

VIEWS = {"text_only": "t", "image_text": "it", "aligned": "it"}
"""Role -> the view that its system is looked at in."""
Tagged = dict[str, dict[str, Any]]
"""post_id -> row of predictions"""
Runs = dict[str, dict[int, Tagged]]
"""role -> seed -> what that run found"""


def work(
    settings: dict[str, Any],
    output: Path,
    markdown: Path,
    html: Path,
    predictions: Sequence[Path],
    posts: Path,
    images: Path,
    context: Path,
) -> None:
    """Writes all cases as a table, and some of each kind for reading.

    Args:
        settings: ``cases``, ``dataset``, and ``names`` of the three systems by role.
        output: cases.parquet, all cases.
        markdown: some of each kind for reading.
        html: the same as a page with the images.
        predictions: predictions.parquet of every run, in folders {encoder}/{system}/seed{seed}.
        posts: posts.parquet.
        images: images.parquet.
        context: the context table that the I+T system reads.

    Raises:
        UserError: when a run is missing, or runs were made on other labels or posts than others.
    """
    from ita.reporting import cases_page

    chosen = read_section(settings, "cases", Cases)
    runs, version = read_runs(predictions, chosen)
    image_of = {row["post_id"]: row["image_id"] for row in parquet.rows("posts", posts) if row["split"] == chosen.split}
    contexts = {row["post_id"]: row for row in parquet.stream("contexts", context)}
    found = [
        {
            **case,
            "image_id": image_of.get(case["post_id"]),
            "context": contexts.get(case["post_id"], {}).get("tokens", []),
            "kinds": contexts.get(case["post_id"], {}).get("kinds", []),
        }
        for case in find(runs)
    ]
    by_kind = {kind: [case for case in found if case["kind"] == kind] for kind in ("helped", "misled")}
    log.info("cases: %s", {kind: len(cases) for kind, cases in by_kind.items()})
    shown = {kind: cases[: chosen.count] for kind, cases in by_kind.items()}
    seeds, read = len(runs["text_only"]), len(next(iter(runs["text_only"].values())))
    names = {role: str(settings.get("names", {}).get(role, getattr(chosen, role))) for role in VIEWS}
    notes = [
        f"Dataset {settings.get('dataset', '')}, labels: {version}, {chosen.split} split, {read} posts, {seeds} seeds, "
        f"encoder {chosen.encoder}. A post is right when exactly its gold spans are found; the tags shown are those of "
        "the first seed in which the case holds.",
        f"Image text helped in {len(by_kind['helped'])} posts: {names['text_only']} wrong and {names['image_text']} "
        f"right in more than half of the seeds. It misled in {len(by_kind['misled'])}: {names['text_only']} right, "
        f"{names['image_text']} wrong and {names['aligned']} right. At most {chosen.count} of each are shown, those "
        "with most agreement first.",
    ]
    if settings.get("dataset") == "demo":
        notes.append("The demo is made by the project: its posts say nothing about tweets.")
    write_text(markdown, cases_page.markdown(shown, names, notes))
    write_text(html, cases_page.page(shown, names, notes, images, chosen.thumbnail))
    inputs = {"/".join(path.parts[-4:]): path for path in predictions}
    parquet.write(
        "cases",
        [case for cases in by_kind.values() for case in cases],
        output,
        {
            **provenance_of(settings, {**inputs, "posts": posts, "images": images, "context": context}),
            "label_version": version,
            "counts": {kind: len(cases) for kind, cases in by_kind.items()},
        },
    )


def read_runs(predictions: Sequence[Path], chosen: Cases) -> tuple[Runs, str]:
    """What the runs of the three systems found, and the version of their labels."""
    runs: Runs = {role: {} for role in VIEWS}
    versions: dict[str, Path] = {}
    for path in predictions:
        encoder, system, _ = path.parts[-4:-1] if len(path.parts) >= 4 else ("", "", "")
        roles = [role for role in VIEWS if getattr(chosen, role) == system and encoder == chosen.encoder]
        if not roles:
            continue
        rows = [row for row in parquet.stream("predictions", path, 1024) if row["split"] == chosen.split]
        about = parquet.metadata(path)
        versions.setdefault(str(about.get("label_version")), path)
        for role in roles:
            runs[role][int(about["seed"])] = {row["post_id"]: row for row in rows if row["view"] == VIEWS[role]}
    if len(versions) > 1:
        raise UserError(f"runs were made on different labels ({', '.join(versions)}): train them again on one version")
    check(runs, chosen)
    return runs, next(iter(versions))


def check(runs: Runs, chosen: Cases) -> None:
    """The three systems have the same seeds, and all runs tagged the same posts.

    Raises:
        UserError: saying which run differs.
    """
    seeds = sorted({seed for of_role in runs.values() for seed in of_role})
    first: Tagged | None = None
    for role, of_role in runs.items():
        system = getattr(chosen, role)
        if not of_role:
            raise UserError(f"no run of {system} with {chosen.encoder}: expected its predictions among --predictions")
        if sorted(of_role) != seeds:
            raise UserError(
                f"{system} has the seeds {sorted(of_role)}, the systems together {seeds}: they are compared"
            )
        for seed, tagged in of_role.items():
            first = tagged if first is None else first
            if not tagged:
                raise UserError(f"{system}, seed {seed}: no {chosen.split} posts; add the split to evaluate.splits")
            if tagged.keys() != first.keys() or any(row["gold"] != first[post]["gold"] for post, row in tagged.items()):
                raise UserError(f"{system}, seed {seed}: tagged other posts than other runs; evaluate them again")


def find(runs: Mapping[str, Mapping[int, Tagged]]) -> list[dict[str, Any]]:
    """All cases: those in which most seeds agree first, then by post id."""
    seeds = sorted(runs["text_only"])
    found = []
    for post_id in runs["text_only"][seeds[0]]:
        agreeing: dict[str, list[int]] = {"helped": [], "misled": []}
        for seed in seeds:
            text, image, aligned = (right(runs[role][seed][post_id]) for role in VIEWS)
            if image and not text:
                agreeing["helped"].append(seed)
            elif text and aligned and not image:
                agreeing["misled"].append(seed)
        for kind, of_kind in agreeing.items():
            if 2 * len(of_kind) > len(seeds):
                rows = {role: runs[role][of_kind[0]][post_id] for role in VIEWS}
                found.append(
                    {
                        "kind": kind,
                        "post_id": post_id,
                        "agreeing": len(of_kind),
                        "seeds": len(seeds),
                        "shown_seed": of_kind[0],
                        "tokens": rows["text_only"]["tokens"],
                        "gold": rows["text_only"]["gold"],
                        **{role: row["predicted"] for role, row in rows.items()},
                    }
                )
    return sorted(found, key=lambda case: (-case["agreeing"], case["post_id"]))


def right(row: Mapping[str, Any]) -> bool:
    """Whether exactly the gold spans were found."""
    return spans(row["predicted"]) == spans(row["gold"])
