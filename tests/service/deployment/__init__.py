"""Container, Compose and Kubernetes files."""
