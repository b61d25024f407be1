"""Posts of alerts: which integration they are for, how they are let in, and what their sender is told."""
