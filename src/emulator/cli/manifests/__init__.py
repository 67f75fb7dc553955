"""`imds-emulator inject`: manifests in, injected manifests out."""
