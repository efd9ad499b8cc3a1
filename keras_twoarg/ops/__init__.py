"""How phi is computed: functions on tensors, and all differences between backends."""
