"""What the app searches in, and how words are folded. Plain rules: no Django here."""

import unicodedata
from collections.abc import Iterator
from typing import Any

from plans.access import PlanNode

_UNIFIED = str.maketrans(
    {
        "\u0640": None,  # tatweel
        "\u0671": "\u0627",  # alef wasla -> alef
        "\u0649": "\u064a",  # alef maqsura -> yaa
        "\u0629": "\u0647",  # taa marbuta -> haa
    }
)


def fold(text: str) -> str:
    """``text`` as it is compared: without case, accents, tashkeel and tatweel.

    Alef with hamza or madda becomes alef, alef maqsura yaa, taa marbuta haa; runs of
    white space become one space. Folding twice changes nothing.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    decomposed = unicodedata.normalize("NFKD", decomposed)
    bare = "".join([char for char in decomposed if not unicodedata.combining(char)])
    return " ".join(bare.translate(_UNIFIED).split())


def items(root: PlanNode) -> Iterator[dict[str, Any]]:
    """One search item per node of the plan's tree, in tree order."""
    return _items(root, ())


def _items(node: PlanNode, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    item: dict[str, Any] = {"id": node.id, "kind": node.kind.value, "title": node.title}
    if node.source.description:
        item["description"] = node.source.description
    item["path"] = list(path)
    item["access_level"] = node.access.level.value
    item["text"] = fold(f"{node.title} {node.source.description}")
    yield item
    for child in node.children:
        yield from _items(child, (*path, node.title))
