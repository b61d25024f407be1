"""From a planned page to its outcome and its answer: claims, calls, outcomes, replies, contacts."""
