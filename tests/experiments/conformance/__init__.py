"""Real AWS clients of many years against the emulator, each in each IMDS mode: who gets credentials, who can't."""
