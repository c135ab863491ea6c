"""The engine's memory: facts in, books and records out."""
