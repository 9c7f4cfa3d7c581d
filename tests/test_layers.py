"""The contracts of import-linter in pyproject.toml name every module, and only modules.

`make layers` checks the imports themselves.
"""

import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES: list[str] = LINTER["root_packages"]
CONTRACTS = {contract["name"]: contract for contract in LINTER["contracts"]}


def members(layer: str) -> list[str]:
    """The modules of a layer as the contract writes it: ``a | b`` or ``a : b``."""
    return [name.strip() for name in layer.replace("|", ":").split(":")]


def names_in(contract: dict) -> Iterator[str]:
    """Every module that a contract names, with its full name."""
    below = [
        *(name for layer in contract.get("layers", ()) for name in members(layer)),
        *contract.get("exhaustive_ignores", ()),
    ]
    if containers := contract.get("containers"):
        yield from containers
        yield from (f"{outer}.{name}" for outer in containers for name in below)
    else:
        yield from below
    for option in (
        "source_modules",
        "forbidden_modules",
        "protected_modules",
        "allowed_importers",
    ):
        yield from contract.get(option, ())
    for pair in contract.get("ignore_imports", ()):
        yield from (name.strip() for name in pair.split("->"))


def exists(name: str) -> bool:
    """Whether there is such a module; of a wildcard, the part before it counts."""
    parts = name.split(".")
    if "*" in name:
        parts = parts[: min(at for at, part in enumerate(parts) if "*" in part)]
    if not parts:
        return True
    if parts[0] not in PACKAGES:
        return find_spec(parts[0]) is not None
    path = ROOT.joinpath(*parts)
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def modules_of(package: str) -> set[str]:
    """The modules and packages directly in a package."""
    return {
        path.stem
        for path in (ROOT / package).iterdir()
        if (path.suffix == ".py" and path.stem != "__init__")
        or (path / "__init__.py").is_file()
    }


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_name_in_a_contract_is_a_module(name: str):
    assert [found for found in names_in(CONTRACTS[name]) if not exists(found)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_is_in_one_layer_of_its_package_or_a_stated_exception(
    package: str,
):
    placed = [
        name
        for contract in CONTRACTS.values()
        if contract.get("containers") == [package]
        for name in [
            *(name for layer in contract["layers"] for name in members(layer)),
            *contract.get("exhaustive_ignores", ()),
        ]
    ]
    without_layer = modules_of(package) - set(placed)
    placed_twice = {name for name in placed if placed.count(name) > 1}
    assert (without_layer, placed_twice) == (set(), set())
