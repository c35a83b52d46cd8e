"""Sections of the stages that gather runs into tables, figures and cases."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from ita.config.fields import SECTION, UNIQUE, UNIQUE_ITEMS, Flag, Number, Whole

ShownSplit = Literal["dev", "test"]
SYSTEMS = (
    "crf",
    "crf-updates",
    "ita-la",
    "ita-ga",
    "ita-oca",
    "ita-all",
    "ita-la-cva",
    "ita-ga-cva",
    "ita-oca-cva",
    "ita-all-cva",
)
"""Rows of Table 1."""


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Table:
    """table: runs of a data set -> {table}.csv, .md, .tex, .html, .json.

    Entries of ``tables`` override these. Systems or encoders that a data set names here restrict all tables, figures
    and cases of the general part.
    """

    kind: Annotated[
        Literal["f1", "best", "labels", "types", "ocr", "analysis"],
        Field(
            description="f1: F1 of systems (Tables 1, 4); best: best seed beside other approaches (Table 2); labels: "
            "with and without labels of all subwords (Table 3); types: precision, recall, F1 per type (Table 5); ocr: "
            "OCR text in images (Table 6); analysis: slices and calibration."
        ),
    ] = "f1"
    systems: Annotated[
        list[str],
        UNIQUE,
        Field(
            min_length=1,
            json_schema_extra=UNIQUE_ITEMS,
            description="Rows, in order: entries of 'systems'. Set by a data set, all general tables, figures and "
            "cases show these only.",
        ),
    ] = field(default_factory=lambda: [*SYSTEMS])
    encoders: Annotated[
        list[str],
        UNIQUE,
        Field(
            min_length=1,
            json_schema_extra=UNIQUE_ITEMS,
            description="Blocks, in order: entries of 'encoders'. Set by a data set, all general tables, figures and "
            "cases show these only.",
        ),
    ] = field(default_factory=lambda: ["bert", "xlmr"])
    baseline: Annotated[
        str | None, Field(description="System that rows are compared with; its runs are read, a row or not.")
    ] = "crf"
    control_systems: Annotated[
        list[str],
        UNIQUE,
        Field(
            json_schema_extra=UNIQUE_ITEMS,
            description="Systems with contexts of other posts. One that is like a row in all but that is the control "
            "of the rows.",
        ),
    ] = field(default_factory=lambda: ["ita-random"])
    updates_control: Annotated[
        str | None,
        Field(
            description="System on text alone with as many updates as one of two views: rows of two views are compared "
            "with it, too; its runs are read, a row or not."
        ),
    ] = "crf-updates"
    reported: Annotated[
        list[str],
        Field(description="Further rows with the paper's values only, by their names in ita.reporting.reported."),
    ] = field(default_factory=list)
    ocr_engines: Annotated[
        list[str],
        UNIQUE,
        Field(min_length=1, json_schema_extra=UNIQUE_ITEMS, description="For ocr: entries of 'ocr_engines'."),
    ] = field(default_factory=lambda: ["tesseract"])
    ocr_engine: Annotated[
        str, Field(description="For analysis: entry of 'ocr_engines' that tells which images hold text.")
    ] = "tesseract"
    split: Annotated[ShownSplit, Field(description="Split whose F1 is shown.")] = "test"
    digits: Annotated[Whole, Field(ge=0, le=6, description="Decimals of F1 in percent.")] = 2
    significance_level: Annotated[
        Number, Field(gt=0, le=1, description="Differences are marked below this p (paper: 0.05).")
    ] = 0.05
    resamples: Annotated[
        Whole, Field(ge=100, description="Resamples of the posts, for bootstrap and randomisation.")
    ] = 2000
    seed: Annotated[Whole, Field(ge=0, description="Seed of the resampling.")] = 1


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Figure:
    """figure: runs of a data set -> {figure}.svg, .pdf, .csv, .json.

    Entries of ``figures`` override these.
    """

    kind: Annotated[
        Literal["curves", "captions", "distance"],
        Field(
            description="curves: dev F1 after each epoch; captions: F1 over the number of captions (Fig. 2); distance: "
            "between the representations of the two views (Fig. 3)."
        ),
    ] = "curves"
    systems: Annotated[
        list[str], Field(description="Entries of 'systems', in order; empty: those of the section 'table'.")
    ] = field(default_factory=list)
    encoders: Annotated[
        list[str], Field(description="Entries of 'encoders', in order; empty: those of the section 'table'.")
    ] = field(default_factory=list)
    split: Annotated[ShownSplit, Field(description="Split of captions and distance.")] = "test"
    width: Annotated[Number, Field(gt=0, description="Width in inches.")] = 7.0
    height: Annotated[Number, Field(gt=0, description="Height of one row of panels in inches.")] = 2.6


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Cases:
    """cases: predictions, posts, images, context -> cases.parquet, .md, .html."""

    text_only: Annotated[str, Field(description="Entry of 'systems' that reads text; its view T is taken.")] = "crf"
    image_text: Annotated[
        str, Field(description="Entry of 'systems' that reads image text; its view I+T is taken.")
    ] = "ita-all"
    aligned: Annotated[
        str, Field(description="Entry of 'systems' with cross-view alignment; its view I+T is taken.")
    ] = "ita-all-cva"
    encoder: Annotated[str, Field(description="Entry of 'encoders' of these runs.")] = "bert"
    split: Annotated[ShownSplit, Field(description="Split whose posts are read.")] = "test"
    count: Annotated[
        Whole, Field(ge=0, description="Most posts of each kind on the page; the Parquet file holds all.")
    ] = 20
    thumbnail: Annotated[
        Whole, Field(ge=0, description="Longest side of an image on the page in pixels; 0 leaves images out.")
    ] = 240


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Paper:
    """paper: tables, figures and cases of a data set -> one folder with a page that lists them."""

    tables: Annotated[
        list[str],
        UNIQUE,
        Field(json_schema_extra=UNIQUE_ITEMS, description="Entries of 'tables', in order."),
    ] = field(default_factory=lambda: ["table1", "table2", "table3", "table4", "table5", "table6", "analysis"])
    figures: Annotated[
        list[str],
        UNIQUE,
        Field(json_schema_extra=UNIQUE_ITEMS, description="Entries of 'figures', in order."),
    ] = field(default_factory=lambda: ["figure2", "figure3", "curves"])
    cases: Annotated[Flag, Field(description="Whether posts are listed where image text helped or misled.")] = True


@dataclass(frozen=True, kw_only=True, config=SECTION)
class Report:
    """report: runs, tables, posts, images and all texts of a data set -> report/, pages to look at."""

    systems: Annotated[
        list[str],
        UNIQUE,
        Field(
            json_schema_extra=UNIQUE_ITEMS,
            description="Entries of 'systems' whose runs are shown; empty: those of the section 'table'.",
        ),
    ] = field(default_factory=list)
    encoders: Annotated[
        list[str],
        UNIQUE,
        Field(
            json_schema_extra=UNIQUE_ITEMS,
            description="Entries of 'encoders' of these runs; empty: those of the section 'table'.",
        ),
    ] = field(default_factory=list)
    tables: Annotated[
        list[str],
        UNIQUE,
        Field(
            json_schema_extra=UNIQUE_ITEMS,
            description="Entries of 'tables' that are shown, in order; empty: those of the section 'paper'.",
        ),
    ] = field(default_factory=list)
    splits: Annotated[
        list[Literal["train", "dev", "test"]],
        UNIQUE,
        Field(min_length=1, json_schema_extra=UNIQUE_ITEMS, description="Splits whose posts are shown."),
    ] = field(default_factory=lambda: ["train", "dev", "test"])
    thumbnail: Annotated[
        Whole, Field(ge=0, description="Longest side of a picture in pixels; 0 leaves pictures out.")
    ] = 400
