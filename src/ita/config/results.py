"""Sections of the stages that gather runs into tables, figures and cases."""

from __future__ import annotations

from dataclasses import dataclass

from ita.config.fields import setting


@dataclass(frozen=True, kw_only=True)
class Table:
    """table: runs of a dataset -> {table}.csv, .md, .tex, .html.

    Entries of ``tables`` override these.
    """

    kind: str = setting(
        "f1",
        "f1: F1 of systems (Tables 1, 4); best: best seed beside other approaches (Table 2); types: precision, "
        "recall, F1 per type (Table 5); ocr: text in images (Table 6); analysis: slices and calibration.",
        enum=["f1", "best", "types", "ocr", "analysis"],
    )
    systems: list[str] = setting([], "Rows, in order: entries of 'systems'.", minItems=1, uniqueItems=True)
    encoders: list[str] = setting([], "Blocks, in order: entries of 'encoders'.", minItems=1, uniqueItems=True)
    baseline: str | None = setting("crf", "System that rows are compared with; its runs are read, a row or not.")
    control_systems: list[str] = setting(
        ["ita-random"],
        "Systems with contexts of other posts. Where one is like a row in all but that, it is the control of the rows.",
        uniqueItems=True,
    )
    reported: list[str] = setting([], "Further rows with the paper's values only, by their names in ita.reported.")
    ocr_engines: list[str] = setting(["tesseract"], "For ocr: entries of 'ocr_engines'.", minItems=1, uniqueItems=True)
    ocr_engine: str = setting("tesseract", "For analysis: entry of 'ocr_engines' that tells which images hold text.")
    split: str = setting("test", "Split whose F1 is shown.", enum=["dev", "test"])
    digits: int = setting(2, "Decimals of F1 in percent.", minimum=0, maximum=6)
    significance_level: float = setting(
        0.05, "Differences are marked below this p (paper: 0.05).", exclusiveMinimum=0, maximum=1
    )
    resamples: int = setting(2000, "Resamples of the test posts, for bootstrap and randomisation.", minimum=100)
    seed: int = setting(1, "Seed of the resampling.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """figure: runs of a dataset -> {figure}.svg, .pdf, .csv.

    Entries of ``figures`` override these.
    """

    kind: str = setting(
        "curves",
        "curves: dev F1 after each epoch; captions: F1 over the number of captions (Fig. 2); distance: between the "
        "representations of the two views (Fig. 3).",
        enum=["curves", "captions", "distance"],
    )
    systems: list[str] = setting([], "Entries of 'systems', in order; none: those of the section 'table'.")
    encoders: list[str] = setting([], "Entries of 'encoders', in order; none: those of the section 'table'.")
    split: str = setting("test", "Split of captions and distance.", enum=["dev", "test"])
    width: float = setting(7.0, "Width in inches.", exclusiveMinimum=0)
    height: float = setting(2.6, "Height of one row of panels in inches.", exclusiveMinimum=0)


@dataclass(frozen=True, kw_only=True)
class Cases:
    """cases: predictions of three systems -> cases.parquet, .md, .html."""

    text_only: str = setting("crf", "Entry of 'systems' that reads text; its view T is taken.")
    image_text: str = setting("ita-all", "Entry of 'systems' that reads image text; its view I+T is taken.")
    aligned: str = setting("ita-all-cva", "Entry of 'systems' with cross-view alignment; its view I+T is taken.")
    encoder: str = setting("bert", "Entry of 'encoders' of these runs.")
    split: str = setting("test", "Split whose posts are read.", enum=["dev", "test"])
    count: int = setting(20, "Most posts of each kind shown for reading; the Parquet file holds all.", minimum=0)
    thumbnail: int = setting(240, "Longest side of an image in the page in pixels; 0 leaves images out.", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """paper: tables, figures and cases of a dataset -> one folder with a page that lists them."""

    tables: list[str] = setting(
        ["table1", "table2", "table4", "table5", "table6", "analysis"],
        "Entries of 'tables', in order.",
        uniqueItems=True,
    )
    figures: list[str] = setting(["figure2", "figure3", "curves"], "Entries of 'figures', in order.", uniqueItems=True)
    cases: bool = setting(True, "Posts where image text helped or misled, too.")
