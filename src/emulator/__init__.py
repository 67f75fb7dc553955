"""AWS credentials for legacy workloads, at the address of the EC2 instance metadata service."""

__version__ = "0.1.0"
