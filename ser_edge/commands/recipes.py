"""``ser-edge recipes``: the trainings that come with the package."""

from __future__ import annotations

import click

from ser_edge.extras import need
from ser_edge.output import Output, output_options


@click.command(
    "recipes",
    epilog="""\b
Examples:
  ser-edge recipes
  ser-edge recipes default > mine.toml
  ser-edge train --recipe mine.toml --data corpora/ --run runs/mine""",
)
@click.argument("name", required=False)
@output_options()
def command(name: str | None, output: Output) -> int:
    """List the recipes that training knows by name.

    With NAME, print that recipe's file, to be copied and edited.
    """
    need("train", "reading recipes", "pydantic", "tomli_w")
    from ser_edge_train.recipes import load_recipe, recipe_names, recipe_text

    if name is not None:
        recipe = load_recipe(name)
        # The file with its comments, where it is one of ours; a user's own as it was understood.
        text = recipe_text(name) if name in recipe_names() else recipe.to_toml()
        if output.style == "json":
            output.record(recipe.model_dump(mode="json", exclude_none=True))
        for line in text.splitlines():
            output.text(line)
        return output.exit_code
    names = recipe_names()
    width = max(map(len, names))
    for each in names:
        recipe = load_recipe(each)
        output.record(
            {"name": each, "summary": recipe.summary, "corpora": list(recipe.corpora)},
            f"{each.ljust(width)}  {recipe.summary}",
        )
    return output.exit_code
