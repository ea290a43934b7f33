"""Mutation testing: small faults put into a module, and whether its tests notice."""
