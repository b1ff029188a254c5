"""Training: corpora, protocols, Keras networks, fits and honest reports."""
