"""Recipes: trainings in files that people read, copy and edit."""

from __future__ import annotations

from importlib import resources
from os import PathLike, fspath
from pathlib import Path

from ser_edge_train.recipes.schema import Recipe, RecipeError, parse_recipe, recipe_from_dict

__all__ = [
    "Recipe",
    "RecipeError",
    "load_recipe",
    "parse_recipe",
    "recipe_from_dict",
    "recipe_names",
    "recipe_text",
]


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package, sorted."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name[: -len(".toml")] for file in files if file.name.endswith(".toml"))


def recipe_text(name: str) -> str:
    """The file of a recipe that comes with the package, comments included.

    Raises:
        RecipeError: There is none of that name.
    """
    if name not in recipe_names():
        raise RecipeError(name, "no such recipe", f"known are {', '.join(recipe_names())}")
    return (resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8")


def load_recipe(name_or_path: str | PathLike[str]) -> Recipe:
    """Loads a recipe by name, or from a file if the argument ends in ``.toml``.

    Raises:
        RecipeError: There is none, or it cannot be read or used.
    """
    given = fspath(name_or_path)
    if not given.endswith(".toml"):
        if given not in recipe_names() and Path(given).is_file():
            raise RecipeError(given, "is no recipe file", "name one that ends in .toml")
        return parse_recipe(recipe_text(given), f"{given}.toml")
    try:
        text = Path(given).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise RecipeError(given, "not UTF-8 text", "save it as UTF-8") from None
    except (OSError, ValueError) as fault:
        raise RecipeError(
            given,
            f"cannot be read ({getattr(fault, 'strerror', None) or fault})",
            f"name a file or one of {', '.join(recipe_names())}",
        ) from None
    return parse_recipe(text, given)
