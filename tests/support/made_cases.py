"""Runs of three systems in which it is known where image text helped."""

from ita.io import parquet
from tests.support.made_runs import DATASET, run_id
from tests.support.pictures import scene, table

GOLD = ["B-PER", "I-PER", "O"]
WRONG = ["B-PER", "O", "O"]
TOKENS = ["<b>Mia", "Ray*</b>", "&co"]
SCRIPT = "<script>alert(1)</script>"
# post: for each of three seeds, whether text-only, image text and aligned are right.
CORRECT = {
    "p1": ["-+-", "-++", "-+-"],
    "p2": ["-+-", "-++", "+++"],
    "p3": ["-+-", "+++", "---"],
    "p4": ["+-+", "+-+", "+-+"],
    "p5": ["+-+", "+--", "+-+"],
    "p6": ["+-+", "+--", "+--"],
    "p0": ["+++", "-+-", "-+-"],
}
SYSTEM_VIEWS = {"crf": "t", "ita-all": "it", "ita-all-cva": "it"}
"""System of each role -> the view in which it is read."""


def write_predictions(folder, labels=None, dataset=DATASET, skip=None, splits=("dev", "test")):
    """predictions.parquet of three systems and seeds, in folders with meaningless names.

    Args:
        folder: where to write.
        labels: system -> label version; v1 for others.
        dataset: that the runs are on.
        skip: (system, seed) of a run that is left out of the paths.
        splits: that the runs were evaluated on.
    """
    paths = []
    for column, (system, view_read) in enumerate(SYSTEM_VIEWS.items()):
        for seed in (1, 2, 3):
            rows = [
                {
                    "post_id": post_id,
                    "split": split,
                    "view": view,
                    "tokens": TOKENS,
                    "gold": GOLD,
                    # Predictions on another split or in another view must not matter.
                    "predicted": GOLD
                    if (split, view) == ("test", view_read) and correct[seed - 1][column] == "+"
                    else WRONG,
                }
                for post_id, correct in CORRECT.items()
                for split in splits
                for view in ("t", "it")
            ]
            path = folder / "runs" / f"{column}{seed}.parquet"
            version = (labels or {}).get(system, "v1")
            run = run_id(system, seed, dataset=dataset)
            parquet.write("predictions", rows, path, {"label_version": version, "run": run})
            if (system, seed) != skip:
                paths.append(path)
    return paths


def write_tables(folder):
    """Posts, images (one is there, one missing, one gone) and contexts; option -> path."""
    folder.mkdir(exist_ok=True)
    scene(600, 300).save(folder / "one.png")
    table(folder, one="one.png", two=None, three="gone.png")
    image_of = {"p1": "one", "p2": "two", "p4": "three"}
    posts = [
        {"post_id": p, "split": "test", "image_id": image_of.get(p), "tokens": TOKENS, "tags": GOLD, "repaired": 0}
        for p in CORRECT
    ]
    contexts = [
        {"post_id": p, "tokens": ["a", SCRIPT, "<EOS>", "dog"], "kinds": ["ga", "ga", "sep", "la"], "truncated": 0}
        for p in CORRECT
    ]
    parquet.write("posts", posts, folder / "posts.parquet")
    parquet.write("contexts", contexts, folder / "all.parquet")
    return {
        "posts": folder / "posts.parquet",
        "images": folder / "images.parquet",
        "context": folder / "all.parquet",
    }
