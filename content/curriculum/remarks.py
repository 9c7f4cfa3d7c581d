"""What an editor should know before an import, though it is no fault.

Content that the import would double, and content that the file leaves out.
"""

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _, ngettext

from content import products
from content.curriculum.loading import StoredSubject
from content.curriculum_format import NodeSpec
from content.json_errors import Fault
from content.kinds import Kind
from content.models import Node
from core.folding import fold

_MAX_NAMED = 10


def find_remarks(
    specs: Sequence[NodeSpec], stored: StoredSubject, *, is_merged: bool
) -> list[Fault]:
    """Return the remarks; one query for a new subject, and one for product codes.

    Args:
        stored: the subject before the import; empty for a new one.
        is_merged: the file is a part of the subject, so it leaves nothing out.
    """
    root = specs[0]
    new_products = list(_new_products(specs))
    if root.id not in stored.nodes:
        return [*_same_subject(root), *new_products]
    found = [*_doubled_nodes(specs, stored), *_doubled_stages(specs, stored)]
    found += new_products
    return found if is_merged else [*found, *_left_out(specs, stored)]


def _new_products(specs: Sequence[NodeSpec]) -> Iterator[Fault]:
    """Yield a remark for each product that the import creates."""
    first = {spec.fields["required_item"]: spec for spec in reversed(specs)}
    for code in products.unknown(first):
        yield (
            (*first[code].path, "required_item"),
            _("there is no product “%(code)s”. The import creates it") % {"code": code},
        )


def _same_subject(root: NodeSpec) -> Iterator[Fault]:
    """Yield a remark for each subject with the title of the new one."""
    title = fold(str(root.fields["title"]))
    same = Node.objects.subjects().untrashed().filter(title_folded=title)
    for public_id in same.values_list("public_id", flat=True):
        yield (
            (*root.path, "title"),
            _(
                "there is a subject with this title already (%(id)s). The import makes "
                "a second one; to update that one, give its id to the subject in the file"
            )
            % {"id": public_id},
        )


def _doubled_nodes(specs: Sequence[NodeSpec], stored: StoredSubject) -> Iterator[Fault]:
    """Yield a remark for each new node beside a stored one with its title."""
    by_pk = stored.by_pk()
    in_file = {spec.id for spec in specs if spec.id}
    for parent in specs:
        node = stored.nodes.get(parent.id)
        if node is None:
            continue
        titles = {
            fold(str(child.fields["title"])): child.id
            for child in (by_pk[pk] for pk in stored.children.get(node.pk, ()))
            if not child.is_trashed and child.id not in in_file
        }
        for child in parent.children:
            other = titles.get(fold(str(child.fields["title"])))
            if other and child.id not in stored.nodes:
                yield (
                    child.path,
                    _(
                        "is new and stands beside “%(title)s” (%(id)s), which has the "
                        "same title: give it that id to update it"
                    )
                    % {"title": child.fields["title"], "id": other},
                )


def _doubled_stages(
    specs: Sequence[NodeSpec], stored: StoredSubject
) -> Iterator[Fault]:
    """Yield a remark for each lesson whose stages would be there twice."""
    in_file = {stage.id for spec in specs for stage in spec.stages if stage.id}
    for spec in specs:
        node = stored.nodes.get(spec.id)
        if node is None or spec.kind is not Kind.LESSON:
            continue
        before = {
            (stage.fields["type"], fold(stage.fields["title"]))
            for stage in stored.stages_of.get(node.pk, ())
            if stage.id not in in_file
        }
        titles = [
            str(stage.fields["title"])
            for stage in spec.stages
            if stage.id not in stored.stages
            and (stage.fields["type"], fold(str(stage.fields["title"]))) in before
        ]
        if titles:
            remark = ngettext(
                "%(count)d stage has no id of a stage in this lesson and would be there "
                "twice: %(titles)s",
                "%(count)d stages have no id of a stage in this lesson and would be "
                "there twice: %(titles)s",
                len(titles),
            )
            yield (
                (*spec.path, "stages"),
                remark % {"count": len(titles), "titles": _named(titles)},
            )


def _left_out(specs: Sequence[NodeSpec], stored: StoredSubject) -> Iterator[Fault]:
    in_file = {spec.id for spec in specs}
    titles = [
        str(node.fields["title"])
        for node in stored.nodes.values()
        if node.kind == Kind.LESSON and not node.is_trashed and node.id not in in_file
    ]
    if titles:
        remark = ngettext(
            "%(count)d lesson of the subject is not in the file and stays: %(titles)s",
            "%(count)d lessons of the subject are not in the file and stay: %(titles)s",
            len(titles),
        )
        yield (
            specs[0].path,
            remark % {"count": len(titles), "titles": _named(titles)},
        )


def _named(titles: Sequence[str]) -> str:
    rest = ["…"] if len(titles) > _MAX_NAMED else []
    return ", ".join([*(f"“{title}”" for title in titles[:_MAX_NAMED]), *rest])
