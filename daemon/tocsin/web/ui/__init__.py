"""Pages for a browser, with their templates and styles."""
