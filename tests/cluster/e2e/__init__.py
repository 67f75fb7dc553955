"""The whole of it on a real cluster: pods with plain AWS clients get the credentials of their role."""
