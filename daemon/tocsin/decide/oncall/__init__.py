"""On call: rotations, overrides, calendars, and how shifts change."""
