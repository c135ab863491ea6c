"""Families of causes; each module offers ``causes(evidence)`` and knows nothing of the others."""
