"""Books against broker, as values: differences, breaks, causes, assignments. Decides; never acts, waits or stores."""
