"""Relation data of the demo: half of the images are the text's own, the others show something else."""

import pytest

from ita.config import Demo
from ita.data.formats import read_posts
from ita.demo.relations import format_relations
from tests.support.demo import generate

SMALLEST = {"train": 16, "valid": 8, "test": 8}


@pytest.mark.parametrize("seed", [7, 1, 2])
@pytest.mark.parametrize("sizes", [{}, SMALLEST], ids=["default", "smallest"])
def test_each_text_stands_beside_its_image_and_beside_another(sizes, seed):
    demo = Demo(**sizes, seed=seed)
    for split in ("train", "valid"):
        posts = [post for post in generate(demo) if post.split == split]
        by_image = {post.image_id: post for post in posts}
        text = format_relations(posts, seed)
        relations = read_posts(text.encode(), "f", "relation")
        assert [relation.related for relation in relations] == [True, False] * (len(relations) // 2)
        assert len(relations) >= (2 if sizes else 60)
        assert len({relation.post_id for relation in relations}) == len(relations)
        for own, another in zip(relations[::2], relations[1::2], strict=True):
            post, shown = by_image[own.image_id], by_image[another.image_id]
            assert own.tokens == another.tokens == list(post.tokens)
            assert post.scene == post.type and shown.scene != post.type
            assert post.image == shown.image == "ok"
        assert format_relations(posts, seed) == text
