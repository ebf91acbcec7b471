"""For the operator: the control socket and its verbs, health, metrics."""
