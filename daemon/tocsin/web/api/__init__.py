"""The HTTP API: its resources, the bodies it reads and answers with, and its OpenAPI document."""
