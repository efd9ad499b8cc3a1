"""How phi is computed: functions on tensors, and one place for what differs between backends."""
