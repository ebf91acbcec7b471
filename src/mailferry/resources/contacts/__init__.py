"""Contacts: people by their address, with fields, lists, segments and events, imported and exported in the background."""
