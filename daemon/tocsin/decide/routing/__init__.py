"""What the rules say of an alert: matchers, conditions, templates, group and priority."""
