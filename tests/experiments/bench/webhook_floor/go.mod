module imds-emulator/tests/bench/webhook_floor

go 1.21
