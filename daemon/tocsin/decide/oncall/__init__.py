"""Who is on call: rotations, overrides, calendars, and how shifts change."""
