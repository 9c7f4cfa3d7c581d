"""Read a release as an app does, and check that it is complete."""

import hashlib
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from jsonschema import Draft202012Validator

from publishing.format.validation import SCHEMA_FOLDER


def root() -> Path:
    return Path(settings.CONTENT_ROOT)


def read(path: str) -> dict[str, Any]:
    return orjson.loads((root() / path).read_bytes())


def sha256(path: str) -> str:
    return hashlib.sha256((root() / path).read_bytes()).hexdigest()


def everything() -> dict[str, bytes]:
    """Every file of every release, including its lessons, by path."""
    found = {}
    for folder in (root() / "plans").iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            for path in folder.rglob("*.json"):
                name = f"{folder.relative_to(root())}/{path.relative_to(folder)}"
                found[name] = path.read_bytes()
    topics = [path for path in found if path.split("/")[-1].startswith("TOP-")]
    for topic in topics:
        for entry in orjson.loads(found[topic])["lessons"]:
            found[entry["lesson_path"]] = (root() / entry["lesson_path"]).read_bytes()
    return found


def lessons() -> set[str]:
    """The ids of the lessons that have a file."""
    return {path.stem for path in (root() / "lessons").glob("*.json")}


def review_items(lesson: dict[str, Any]) -> list[str]:
    """The ids of the reviewable items in a lesson's file, in order, each once."""
    lists = ("questions", "pairs", "cards", "sentences")
    found = {
        item["id"]: None
        for stage in lesson["stages"]
        for name in lists
        for item in stage["config"].get(name, [])
    }
    return list(found)


def check(schema: str, document: dict[str, Any]) -> None:
    text = (SCHEMA_FOLDER / f"{schema}.schema.json").read_text()
    Draft202012Validator(orjson.loads(text)).validate(document)


def walk(plan_id: str) -> dict[str, dict[str, Any]]:
    """Return every document of the plan's release by path, following its links.

    Checks each document against its schema, every hash against its target's bytes,
    every ``lesson_version``, and that every file of the release is linked.
    """
    found: dict[str, dict[str, Any]] = {}

    def follow(holder: dict[str, Any], name: str, schema: str) -> dict[str, Any]:
        path = holder[f"{name}_path"]
        assert holder[f"{name}_url"].endswith(f"/files/memora_content/{path}")
        assert holder[f"{name}_hash"] == sha256(path), path
        found[path] = document = read(path)
        check(schema, document)
        return document

    path = f"plans/{plan_id}/manifest.json"
    found[path] = manifest = read(path)
    check("manifest", manifest)
    index = follow(manifest, "search_index", "search_index")
    for shard in index.get("shards", []):
        follow(shard, "shard", "search_shard")
    for subject in manifest["subjects"]:
        hierarchy = follow(subject, "hierarchy", "hierarchy")
        bitmap = follow(subject, "bitmap", "bitmap")
        bits = [entry["bit_index"] for entry in bitmap["mappings"].values()]
        assert len(bits) == len(set(bits)) == bitmap["total_lessons"]
        seen = []
        for track in hierarchy["tracks"]:
            for unit in track["units"]:
                for said in unit["topics"]:
                    topic = follow(said, "topic", "topic")
                    assert said["lesson_count"] == len(topic["lessons"])
                    for lesson in topic["lessons"]:
                        file = read(lesson["lesson_path"])
                        check("lesson", file)
                        assert file["version"] >= lesson["lesson_version"]
                        assert len(file["stages"]) == lesson["stage_count"]
                        entry = bitmap["mappings"][lesson["id"]]
                        assert entry.get("review_items", []) == review_items(file)
                        assert entry.get("review_items") != []
                        found[lesson["lesson_path"]] = file
                        seen.append(lesson["id"])
        assert seen == list(bitmap["mappings"])
        assert hierarchy["stats"]["total_lessons"] == len(seen)
    folder = root() / "plans" / plan_id
    existing = {
        f"plans/{plan_id}/{file.relative_to(folder)}" for file in folder.rglob("*.json")
    }
    assert existing == {path for path in found if path.startswith("plans/")}
    return found
