"""The fields of nodes, stages and subject states, by purpose.

Each concrete field of the models is in exactly one group. The other lists are made of
the groups, and all code that handles fields by name uses one of them. A new field needs
a group; its group decides what forms, copies, files and the history do with it.

Plain Python: no Django here.
"""


class NodeFields:
    """The fields of `content.models.Node`."""

    # --- Groups ---

    FIXED = ("id", "public_id", "kind", "created_at")
    """Set at creation; never changed."""
    ABOVE = ("parent", "subject")
    INTERVAL = ("lft", "rght", "tree_id", "level")
    PRESENTATION = ("title", "description", "image", "color_code")
    VISIBILITY = ("is_published", "is_linear")
    ACCESS = ("is_public", "is_free_preview", "required_item")
    """They decide who may read a node and its descendants.

    The rules are in docs/architecture.md, "Access".
    """
    REWARD = ("base_xp",)
    """Only lessons use it."""
    STATE = ("bit_index", "trashed_at")
    """Written by services and imports, never by a form."""
    COMPUTED = ("title_folded", "stages_revision")
    """Computed from other fields or rows."""
    CHANGED = ("updated_at",)

    # --- Lists ---

    PLACE = (*ABOVE, *INTERVAL)
    """The node's place; `Node.save` never writes it."""
    CONTENT = (*PRESENTATION, *VISIBILITY, *ACCESS, *REWARD)
    """What editors write. Copies, reverts and curriculum files have all of it."""
    FORM = ("public_id", *CONTENT)
    """The admin page. The id can be set only for a new node."""
    SAVED = (*CONTENT, "title_folded", *CHANGED)
    """What saving an existing node writes."""
    SHEET = tuple(name for name in CONTENT if name not in ("image", "is_linear"))
    """The columns of a lesson sheet: a cell cannot hold an image, and nothing inside a
    lesson opens in order."""
    TREE_ROW = (
        *("id", "public_id", "kind", "title"),
        *(*PLACE, *VISIBILITY, *ACCESS, *REWARD, *STATE),
    )
    """What a row of the tree page and the access rules need; no long texts."""
    UNRECORDED = (*INTERVAL, *COMPUTED)
    """What the history leaves out: it changes without an edit of the node."""


class StageFields:
    """The fields of `content.models.LessonStage`."""

    # --- Groups ---

    FIXED = ("id", "public_id")
    """Set at creation; never changed."""
    PLACE = ("lesson", "position")
    CONTENT = ("type", "title", "config", "weight", "target_time", "is_skippable")
    """What editors and curriculum files write."""
    COMPUTED = ("text_folded",)
    """Computed from other fields."""

    # --- Lists ---

    ORDERED = ("position", *CONTENT)
    """What a copy or a revert of a lesson writes."""


class SubjectStateFields:
    """The fields of `content.models.SubjectState`."""

    FIXED = ("subject",)
    COMPUTED = ("next_bit_index", "revision", "tree_revision")
    HEADER = ("language", "attribution", "license")
    """The header of the curriculum file."""
