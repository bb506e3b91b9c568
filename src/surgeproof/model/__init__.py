"""The nouns of a rehearsal: frozen data that every other part passes around."""
