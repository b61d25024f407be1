"""From a post to committed incidents: batches, rules, the open alerts in memory."""
