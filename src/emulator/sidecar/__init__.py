"""The emulator beside the app: asks STS, answers at 169.254.169.254."""
