module imds-emulator/tests/load/webhook_peers

go 1.22
