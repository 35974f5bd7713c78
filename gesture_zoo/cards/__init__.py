"""Model cards: what is known of a model, as the README.md of a Hub repository and as the zoo's MODEL_CARDS.md."""

from .hub_card import model_card, plain_number

__all__ = ["model_card", "plain_number"]
