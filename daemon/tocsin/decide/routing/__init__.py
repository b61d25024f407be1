"""Rules about alerts: matchers, conditions, templates, group and priority."""
