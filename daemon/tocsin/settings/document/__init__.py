"""The YAML engine: files, nodes with line and column, shapes that read them, and where each value is written."""
