"""What is added to a pod, and which pods are refused: pure, read by webhook, policy and command alike."""
