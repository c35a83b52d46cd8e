"""Ground truth of scenes: annotations and captions."""

from __future__ import annotations

import random

import pytest

from ita.demo import ground_truth
from ita.demo.pictures import SUBJECTS, sample_scene


@pytest.mark.parametrize("kind", SUBJECTS)
def test_annotations_and_captions_of_a_scene(kind: str) -> None:
    for seed in range(20):
        scene = sample_scene(random.Random(seed), kind)
        objects = ground_truth.object_annotations(scene)
        assert [annotation.label for annotation in objects] == [item.label for item in scene.objects]
        assert all(annotation.label in ground_truth.LABELS for annotation in objects)
        for annotation in objects:
            assert len(annotation.attributes) == 2
            assert set(annotation.attributes) <= set(ground_truth.ATTRIBUTES)
        captions = ground_truth.reference_captions(scene)
        assert len(captions) == len(ground_truth.CAPTIONS[kind])
        words = {word for phrasings in captions for caption in phrasings for word in caption.split()}
        assert words <= ground_truth.lexicon()
        sampled = ground_truth.sample_caption(random.Random(seed), scene)
        assert sampled in {caption for phrasings in captions for caption in phrasings}


def test_other_objects_are_named_without_the_subject() -> None:
    scenes = [sample_scene(random.Random(seed), "PER") for seed in range(40)]
    for scene in scenes:
        phrases = ground_truth.other_objects(scene)
        labels = [f"a {item.label}" for item in scene.objects if not item.subject]
        assert phrases == (labels or ["a cloud"])
    assert any(len(scene.objects) == 1 for scene in scenes)


def test_articles() -> None:
    words = {"label": "car", "colour": "orange", "place": "in a park", "other": "a tree"}
    assert ground_truth.fill_caption("a {colour} {label} {place}", words) == "an orange car in a park"
