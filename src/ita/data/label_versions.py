"""Label versions of the public data sets: scores on one are not comparable with scores on another.

Twitter-2015 exists with the labels of UMT (Yu et al., ACL 2020; jefferyYu/UMT@f478ee6) and in a copy relabelled later
(thecharm/TMR@279b3e2): same posts in the same order, 239 of 3257 test posts with other labels, 5237 test entities
instead of 5207. Twitter-GMNER (NUSTM/GMNER@c567956) holds posts of both sets with labels of its own. A file is
recognised by the SHA-256 of its bytes, else by those of its words and tags and of its image ids, so that a copy with
other line ends, or in another format, is not taken for a relabelled one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ita.data.records import Post
from ita.data.tags import repair, spans


class PublicFile(NamedTuple):
    """A split of a public data set."""

    version: str
    """Name of its label version."""
    file_sha256: str
    """Of the bytes of the file."""
    image_ids_sha256: str
    """Of its image ids, see ``image_ids_sha256``."""
    content_sha256: str
    """Of its words and tags, see ``content_sha256``."""


PUBLIC_FILES = (
    PublicFile(
        "UMT Twitter-2015",
        "a6246e37aa1c8acd738747fa8257e01775f2a1cc0d4f36f82f9d41d6246ad6fa",
        "656f2c2563859d8bbc1b65a303ebff2ff2b2a8fc765230cdffb672b2d0a0734e",
        "f18637c9a81e4255d935e8dd5b61eb2e3a3d78ebf18a71f029d2fcba33361e6f",
    ),
    PublicFile(
        "UMT Twitter-2015",
        "9dcc7f9df7331de3c9cdf67a3450e041c41c6254b5e43925c576e2dfaaabe2ad",
        "f3074d5102e20ec92044be4b17e3410a3e28116739795207730b7d46c858df27",
        "0c98f10c1bedff909d8478e9f1b1ce495238ab3b94862aedd9d5d952554295da",
    ),
    PublicFile(
        "UMT Twitter-2015",
        "edb2665b89bfe58bca06a2c10b9b31cbfa95456135b6a4cbf55c872e48d9b8f9",
        "172a0ba02b10525782720df1f21f8b579d5903abc2f00d8efa5d656c4c450391",
        "d8b8afcb0e49f920d112a0034f5695113f297a986cc4ebf8718e8a74102c1114",
    ),
    PublicFile(
        "UMT Twitter-2017",
        "801e149e8635b19d66b4ec1212c329be340ada501b35c5fa55455fb6f53633be",
        "3c29a7427d02c42c3450e22dc2edd227af7c214f78fa0b2d95192666ef1c8a42",
        "0d8ada4204e7a85141de5d75d7b0c4c7a0735de112edf5610002c4c40f6585bd",
    ),
    PublicFile(
        "UMT Twitter-2017",
        "41b5db90cb32059c14c2c3ccd50845fb77f1e3d3e4f7d0c210a61bc507d8a73e",
        "7955527fbf6668b6f24a4a3ce52266ea0caf7dcf5e456524e473eb504e434417",
        "4270da6bdabaaf980705e3447bd0474b6859ca77240a49de0dc26dfc4cdc6cbc",
    ),
    PublicFile(
        "UMT Twitter-2017",
        "a7d9e172ae85bd3e35276eb2b01ce223321bdc92a47b234e24305d72e7a05243",
        "a31e35f79b0542f0cea3657e0a19f34d8c4117172f7160ed84460897752d00f6",
        "2c5227571a0512ec14b7667941b221e7f0cf0f0c80c78e8835801899195fefce",
    ),
    PublicFile(
        "Twitter-GMNER v2.0",
        "72770413f5a80b75c6d8b59d985048bc8b26c489b7b8a09c4cc7ed2b97f3cc41",
        "9e43c67aea628aa83045a50bf0b100bbdd93c66494262b0bb121128c3b71b577",
        "7e242a75eeecebdad212c1fd1d098840c34138df51da033754b82e0be7d04de9",
    ),
    PublicFile(
        "Twitter-GMNER v2.0",
        "07435237d7bfc1f2dd66f564fecab9637ff0bb9d08025d722859dbb2bd3f8532",
        "7b3ca27b89f9cf8afd3ad6c670b85c80fe457c8b9358f8801fca2f2c5eb77882",
        "9e2165488ffe2790101902cfb3058f1d3a6d4801b6db8c459011d53c5094d48e",
    ),
    PublicFile(
        "Twitter-GMNER v2.0",
        "a178a5f6f422a43f8e8692d84cbde4eb590dec9b2a0da4aa67e3ecf3ac690f0a",
        "0c8a501bc29616de2ecb42ac6abad6854ab7b10bba4d5052a1e960f993b77e07",
        "6c9b6a588c7bfce983bc6fc7bd7d303d6530cb156c66930f3fe03471d9648c15",
    ),
)
RELABELLED_TEST_SPANS = 5237
"""Entities of the relabelled Twitter-2015 test file."""


def label_version(file_sha256: str, posts: Sequence[Post]) -> str:
    """Name of the label version of one file.

    Args:
        file_sha256: SHA-256 of the file's bytes.
        posts: its posts, tags as read (before repair and renaming).

    Returns:
        The name of a public version; for the same posts with other labels the same name with 'relabelled' or
        'altered'; else 'own', with the first digits of a hash of words and tags.
    """
    content = content_sha256(posts)
    for public in PUBLIC_FILES:
        if file_sha256 == public.file_sha256 or content == public.content_sha256:
            return public.version
    image_ids = image_ids_sha256(posts)
    for public in PUBLIC_FILES:
        if image_ids == public.image_ids_sha256:
            entities = sum(len(spans(repair(post.tags)[0])) for post in posts)
            if "2015" in public.version and entities == RELABELLED_TEST_SPANS:
                return "relabelled Twitter-2015"
            return f"{public.version}, altered ({content[:8]})"
    return f"own ({content[:8]})"


def common_version(versions: Mapping[str, str]) -> str:
    """One name for the label versions of all splits (split -> version); all of them where they differ."""
    names = list(versions.values())
    if len(set(names)) == 1:
        return names[0]
    if all(name.startswith("own") for name in names):
        return f"own ({lines_sha256(names)[:8]})"
    return "; ".join(f"{split}: {name}" for split, name in versions.items())


def image_ids_sha256(posts: Sequence[Post]) -> str:
    """SHA-256 of the image ids, one a line."""
    return lines_sha256([post.image_id or "" for post in posts])


def content_sha256(posts: Sequence[Post]) -> str:
    """SHA-256 of words and tags as the file has them: a line per post, words, TAB, tags, each separated by spaces."""
    return lines_sha256([" ".join(post.tokens) + "\t" + " ".join(post.tags) for post in posts])


def lines_sha256(lines: Sequence[str]) -> str:
    """SHA-256 of lines joined by LF."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
