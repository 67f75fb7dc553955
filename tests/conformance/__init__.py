"""Real AWS clients of fifteen years against the emulator, each in each IMDS mode: who gets its credentials, who can't."""
