"""Books as tables: records and values turned into columns and DataFrames. Pure; nothing here decides about money."""
