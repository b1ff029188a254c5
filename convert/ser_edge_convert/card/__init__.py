"""The card of a shipped model: what it is, what it must not be used for, how well it does."""
