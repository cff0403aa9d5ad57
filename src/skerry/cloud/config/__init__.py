"""Configuration of the OpenStack services: layered ini files, option schema, checks, explanations."""
