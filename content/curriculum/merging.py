"""Import a part of a subject: existing content keeps what the file does not name.

A curriculum file describes its nodes completely. A converted file (`content.importers`)
names only titles and stages, so it is merged.
"""

from collections.abc import Sequence
from typing import Any

from content.curriculum.loading import StoredSubject
from content.curriculum_format import NodeSpec


def keep_stored_fields(specs: Sequence[NodeSpec], stored: StoredSubject) -> None:
    """Give stored nodes and stages the stored values that the file does not set."""
    for spec in specs:
        node = stored.nodes.get(spec.id)
        if node is not None:
            spec.fields = _merged(spec.fields, spec.given, node.fields)
        for stage in spec.stages:
            found = stored.stages.get(stage.id)
            if found is not None:
                stage.fields = _merged(stage.fields, stage.given, found.fields)


def _merged(
    fields: dict[str, Any], given: frozenset[str], before: dict[str, Any]
) -> dict[str, Any]:
    return {
        name: value if name in given else before[name] for name, value in fields.items()
    }


def make_drafts(root: NodeSpec, stored: StoredSubject) -> None:
    """Make the new content a draft; existing nodes stay published or drafts.

    Only the uppermost new nodes become drafts, which hide what they contain, so one
    click publishes an imported branch.
    """
    waiting = [root]
    while waiting:
        spec = waiting.pop()
        node = stored.nodes.get(spec.id)
        if node is None:
            spec.fields["is_published"] = False
        else:
            spec.fields["is_published"] = node.fields["is_published"]
            waiting += spec.children
