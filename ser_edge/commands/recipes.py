"""``ser-edge recipes``: the trainings that come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ser_edge.explained import explain
from ser_edge.extras import need
from ser_edge.output import Output, output_options

if TYPE_CHECKING:
    from ser_edge_train.recipes import Recipe


@click.command(
    "recipes",
    epilog="""\b
Examples:
  ser-edge recipes
  ser-edge recipes cnn1d-2376 --explain
  ser-edge recipes default > mine.toml
  ser-edge train --recipe mine.toml --data corpora/ --run runs/mine""",
)
@click.argument("name", required=False)
@click.option("--explain", "explained", is_flag=True, help="Say in words what NAME does, and how "
              "to train it.")  # fmt: skip
@output_options()
def command(name: str | None, explained: bool, output: Output) -> int:
    """List the recipes that training knows by name.

    With NAME, print that recipe's file, to be copied and edited; with --explain, what it does
    and what others printed for such a system.
    """
    if explained and name is None:
        raise click.UsageError("--explain needs the name of a recipe")
    need("train", "reading recipes", "pydantic", "tomli_w")
    from ser_edge_train.recipes import load_recipe, recipe_names

    if name is None:
        return _list([load_recipe(each) for each in recipe_names()], output)
    recipe = load_recipe(name)
    if output.style == "json":
        output.record(recipe.model_dump(mode="json", exclude_none=True))
    elif explained:
        last = None
        for heading, line in explain(recipe):
            output.text(f"{heading if heading != last else '':<13} {line}")
            last = heading
    else:
        _print_file(name, recipe, output)
    return output.exit_code


def _list(recipes: list[Recipe], output: Output) -> int:
    width = max(len(recipe.name) for recipe in recipes)
    for recipe in recipes:
        published = [figure.model_dump(mode="json") for figure in recipe.published or ()]
        printed = ", ".join(f"{figure['figure']:g} %" for figure in published)
        output.record(
            {
                "name": recipe.name,
                "summary": recipe.summary,
                "corpora": list(recipe.corpora),
                "published": published,
            },
            f"{recipe.name.ljust(width)}  {recipe.summary}"
            + (f" (published: {printed})" if printed else ""),
        )
    return output.exit_code


def _print_file(name: str, recipe: Recipe, output: Output) -> None:
    from ser_edge_train.recipes import recipe_names, recipe_text

    # The file with its comments, where it is one of ours; a user's own as it was understood.
    text = recipe_text(name) if name in recipe_names() else recipe.to_toml()
    for line in text.splitlines():
        output.text(line)
