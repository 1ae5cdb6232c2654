"""The model card: README.md of an exported model."""

from __future__ import annotations


def model_card(name: str, recipe: str, steps: int, seconds: float, recordings: str) -> str:
    """The text of a model's card, in Markdown.

    Args:
        name: of the model.
        recipe: name of the recipe that it was trained with.
        steps: of the whole run.
        seconds: of the whole run.
        recordings: name of the folder that it learned from.
    """
    return (
        f"# {name}\n\n"
        f"A generator for tsmgan, trained with the recipe `{recipe}` for {steps} steps ({seconds / 60:.0f} minutes) on the recordings of "
        f"`{recordings}`. The resolved recipe is in `config.json`.\n\n"
        "Before you publish it, name the recordings it learned from and their licences here.\n"
    )
