"""The life of an incident: its moves, its escalation, its timers."""
