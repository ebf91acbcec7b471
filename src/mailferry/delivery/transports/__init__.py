"""The ways in which a recipient's message leaves: to its mail hosts, over a relay, or into the simulator."""
